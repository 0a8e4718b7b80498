"""The API server: authentication, and a log of requests and answers."""

import secrets
import socket
import threading
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from urllib.parse import parse_qsl, urlsplit

from rehearsal import fast_yaml
from rehearsal.kubernetes import discovery, rbac
from rehearsal.kubernetes.api import Api
from rehearsal.kubernetes.certificate import self_signed
from rehearsal.kubernetes.https import Handler, HttpsServer
from rehearsal.kubernetes.logs import Logs
from rehearsal.kubernetes.rbac import ADMIN
from rehearsal.kubernetes.requests import NOT_SERVED, Answer, Request
from rehearsal.kubernetes.resources import target_of
from rehearsal.kubernetes.status import StatusError, forbidden, not_done
from rehearsal.kubernetes.store import Object, Store

BACKLOG = 64
"""Connections that may wait to be accepted."""
Handle = Callable[[Request], Answer]


@dataclass(frozen=True)
class Entry:
    """One request in the log. The code is 0 if the connection was dropped without an answer."""

    user: str
    verb: str
    resource: str
    namespace: str | None
    name: str | None
    code: int


class Server:
    """An API server for a store.

    Args:
        store: the objects.
        host: an IP address to listen on.
        port: the port; 0 for any that is free.
        logs: gives the logs of containers, for `kubectl logs`; without it no container has one.

    Attributes:
        address: its IP address and port.
        url: its URL.
        log: the requests for resources, in the order of their answers.
        around: stands around each request for a resource, and may be replaced to let requests fail:
            call `handle` or not, return another Answer, raise a StatusError, sleep, or raise a
            ConnectionError to drop the connection, before or after the request took effect.
    """

    def __init__(self, store: Store, host: str, port: int, logs: Logs | None = None) -> None:
        self.log: list[Entry] = []
        self.around: Callable[[Request, Handle], Answer] = lambda request, handle: handle(request)
        self._store = store
        self._api = Api(store, logs)
        self._tokens: dict[str, str] = {}
        self._certificate, self._tls = self_signed(host)
        self._servers: list[HttpsServer] = []
        listener = socket.create_server((host, port), backlog=BACKLOG)
        self.address: tuple[str, int] = listener.getsockname()
        self.url = f"https://{host}:{self.address[1]}"
        self.listen(listener)

    def listen(self, listener: socket.socket) -> None:
        """Answer on a socket that listens; on more than one, if networks do not reach each other.

        Call it before `start`.
        """
        self._servers.append(HttpsServer(listener, self._answer, self._tls))

    def start(self) -> None:
        """Serve requests in threads of its own."""
        for each in self._servers:
            threading.Thread(target=each.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """End all watches and connections, and release the ports."""
        for each in self._servers:
            each.shutdown()
        self._api.watches.end()
        for each in self._servers:
            each.close_connections()
            each.server_close()

    def kubeconfig(self, namespace: str, service_account: str | None = None) -> str:
        """Return a kubeconfig, in YAML, for a service account of a namespace or for the admin.

        Args:
            namespace: the one that clients use by default.
            service_account: its name; its token is good as long as the ServiceAccount exists.
        """
        user = f"system:serviceaccount:{namespace}:{service_account}" if service_account else ADMIN
        return self._kubeconfig(namespace, user, self._token(user))

    def account_files(self, namespace: str, service_account: str) -> dict[str, str]:
        """Return the files that a pod has of its service account, and a kubeconfig, by name."""
        user = f"system:serviceaccount:{namespace}:{service_account}"
        token = self._token(user)
        kubeconfig = self._kubeconfig(namespace, user, token)
        mounted = {"token": token, "ca.crt": self._certificate, "namespace": namespace}
        return {**mounted, "kubeconfig": kubeconfig}

    def _token(self, user: str) -> str:
        token = secrets.token_urlsafe()
        self._tokens[token] = user
        return token

    def _kubeconfig(self, namespace: str, user: str, token: str) -> str:
        authority = b64encode(self._certificate.encode()).decode()
        cluster = {"server": self.url, "certificate-authority-data": authority}
        context = {"cluster": "rehearsal", "user": user, "namespace": namespace}
        config: Object = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "rehearsal", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "rehearsal", "context": context}],
            "current-context": "rehearsal",
        }
        return fast_yaml.dump(config)

    def _answer(self, http: Handler, body: bytes) -> Answer:
        url = urlsplit(http.path)
        target = target_of(url.path)
        try:
            user = self._acting(self._user(http.headers.get("Authorization", "")), http.headers)
            if target is None:
                document = discovery.describe(self._store, url.path)
                return Answer(200, document) if document else NOT_SERVED
            request = Request(
                user=user,
                method=http.command,
                target=target,
                query=dict(parse_qsl(url.query, keep_blank_values=True)),
                content_type=_content_type(http.headers),
                body=body,
                agent=http.headers.get("User-Agent", ""),
                accept=http.headers.get("Accept", ""),
            )
            return self._logged(request)
        except StatusError as error:
            return Answer(error.code, error.body)

    def _logged(self, request: Request) -> Answer:
        code = 0
        try:
            answer = self.around(request, self._api.answer)
            code = answer.code
            return answer
        except StatusError as error:
            code = error.code
            raise
        finally:
            target = request.target
            what = request.verb, target.resource, target.namespace, target.name
            self.log.append(Entry(request.user, *what, code))

    def _user(self, authorization: str) -> str:
        scheme, _, token = authorization.partition(" ")
        user = self._tokens.get(token) if scheme.lower() == "bearer" else None
        if user is None or not (user == ADMIN or self._exists(user)):
            raise StatusError(401, "Unauthorized", "Unauthorized")
        return user

    def _acting(self, user: str, headers: Message) -> str:
        """Return the user on whose behalf a request is made."""
        asked = {name.lower() for name in headers if name.lower().startswith("impersonate-")}
        if asked - {"impersonate-user"}:
            raise not_done("impersonation with groups, a uid or extra fields")
        other = headers.get("Impersonate-User")
        if other is None:
            return user
        target = rbac.impersonated(other)
        if not rbac.allowed(self._store, user, "impersonate", target):
            raise forbidden(user, "impersonate", target)
        return other

    def _exists(self, user: str) -> bool:
        namespace, name = user.split(":")[2:]
        return self._store.get("ServiceAccount", namespace, name) is not None


def _content_type(headers: Message) -> str:
    """Return the type of the body. The default is JSON, and not plain text as in mail."""
    return headers.get_content_type() if "Content-Type" in headers else "application/json"
