"""Join a service mesh from a charm, or offer one.

This is an independent implementation of the ``service_mesh`` and ``cross_model_mesh`` interfaces. A
charm that was written against the published library of this name runs on it unchanged, and it talks
to charms that carry any published version.

A mesh denies what nobody allowed. Who may call whom follows from Juju's relations: whoever is
related to a charm over an endpoint may make the calls that the charm's policy for that endpoint
names, and no other.

Consumer
========

A charm that joins a mesh says who may call it, and this library does the rest::

    import ops

    from charms.istio_beacon_k8s.v0.service_mesh import (
        AppPolicy, Endpoint, Method, ServiceMeshConsumer, UnitPolicy,
    )

    class ProducerCharm(ops.CharmBase):
        def __init__(self, framework: ops.Framework):
            super().__init__(framework)
            self.mesh = ServiceMeshConsumer(
                self,
                policies=[
                    # Readers call GET /data through the Service.
                    AppPolicy(
                        relation="data",
                        endpoints=[Endpoint(ports=[8080], methods=[Method.get], paths=["/data"])],
                    ),
                    # Prometheus scrapes every unit on its own address.
                    UnitPolicy(relation="metrics", ports=[9090]),
                ],
            )
            framework.observe(self.on.collect_unit_status, self._on_collect_status)

        def _on_collect_status(self, event: ops.CollectStatusEvent):
            event.add_status(self.mesh.status())

with these endpoints in ``charmcraft.yaml``, where ``data`` and ``metrics`` are the charm's own::

    requires:
      service-mesh: {interface: service_mesh, limit: 1}
      require-cmr-mesh: {interface: cross_model_mesh}
    provides:
      provide-cmr-mesh: {interface: cross_model_mesh}
      data: {interface: http_data}
      metrics: {interface: prometheus_scrape}

App or unit
-----------

An ``AppPolicy`` is about calls to the application's Service, at L7: it knows ports, methods, paths
and hosts. A ``UnitPolicy`` is about connections to the address of a unit, at L4: it knows ports.
Callers that do both need both.

Status
------

Joining puts labels on the application's pods and Service, for which the application needs
``juju trust <app> --scope=cluster``. Whether that is done, and if not, why, is what ``status()``
tells: Active, Waiting for the mesh or for Kubernetes, or Blocked with the command that helps.

Cross-model
-----------

Juju does not tell a charm which application is behind a cross-model relation. The remote
application tells it over a second relation: offer ``provide-cmr-mesh`` *together with* the endpoint
that has the policy, and integrate the caller's ``require-cmr-mesh`` with that offer. Until then the
mesh denies the caller, ``status()`` says so, and ``waiting_for_identity()`` returns the relation.

A caller cannot claim to be from another model: this library compares the model that it names with
the UUID for which Juju vouches. ``refused_identities()`` returns the claims that do not fit.

Joining by hand
---------------

A charm whose workload is in pods of its own making labels them itself::

    class OperatorCharm(ops.CharmBase):
        def __init__(self, framework: ops.Framework):
            super().__init__(framework)
            self.mesh = ServiceMeshConsumer(self, auto_join=False)

        def pod_labels(self) -> dict[str, str]:
            return {"app": "worker", **self.mesh.labels()}

Provider
========

A charm that offers a mesh publishes the labels by which a pod joins, and enforces what the others
ask for::

    import lightkube
    import ops

    from charms.istio_beacon_k8s.v0.service_mesh import (
        MeshType, PolicyResourceManager, ServiceMeshProvider, kubernetes_errors, kubernetes_status,
    )

    class MeshCharm(ops.CharmBase):
        def __init__(self, framework: ops.Framework):
            super().__init__(framework)
            self.mesh = ServiceMeshProvider(self, labels={"istio.io/dataplane-mode": "ambient"})
            self.enforced: ops.StatusBase = ops.ActiveStatus()
            consumers = self.on["service-mesh"]
            for event in (consumers.relation_changed, consumers.relation_broken):
                framework.observe(event, self._enforce)
            framework.observe(self.on.leader_elected, self._enforce)
            framework.observe(self.on.update_status, self._enforce)
            framework.observe(self.on.collect_unit_status, self._on_collect_status)

        def _enforce(self, _: ops.EventBase):
            if self.unit.is_leader():
                review = self.mesh.review()
                try:
                    client = lightkube.Client(field_manager=self.app.name)
                    manager = PolicyResourceManager(self, client)
                    refused = review.refused + manager.reconcile(review.accepted, MeshType.istio)
                    self.enforced = ops.ActiveStatus(f"refused policies: {len(refused)}")
                except kubernetes_errors() as error:
                    self.enforced = kubernetes_status(error, self.app.name)

        def _on_collect_status(self, event: ops.CollectStatusEvent):
            event.add_status(self.enforced)
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import hashlib
import json
import logging
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Annotated, Any, cast

import ops
import pydantic

if TYPE_CHECKING:
    # Every hook pays for its imports: lightkube is imported where a Kubernetes call is made.
    from lightkube import Client
    from lightkube.core.resource import NamespacedResource
    from lightkube.generic_resource import GenericNamespacedResource

LIBID = "3f40cb7e3569454a92ac2541c5ca0a0c"
LIBAPI = 0
LIBPATCH = 1
PYDEPS = ["lightkube>=0.15", "pydantic>=2"]

logger = logging.getLogger(__name__)

label_configmap_name_template = "juju-service-mesh-{app_name}-labels"

# lightkube is typed in part only, which strict type checking cannot use: inside this module a
# client is Any, and its answers are read as the JSON that they are.
_AnyClient = Any


# --- Data ---------------------------------------------------------------------------------------

# What Kubernetes allows as a label's value, and enough for Juju's names. A name becomes part of a
# principal (cluster.local/ns/<model>/sa/<app>) and of a URL, and must not mean something there.
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL_PREFIX = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")

# Every pod of a Juju application carries this with the application's name.
_NAME_LABEL = "app.kubernetes.io/name"

# The name that Juju gives to a remote application on the side that made the offer.
_REMOTE_ALIAS = re.compile(r"remote-[0-9a-f]{32}")


# Checked by pydantic's own engine, which is a good deal quicker than a function here.
_Name = Annotated[str, pydantic.Field(pattern=f"^{_NAME.pattern}$")]
_Port = Annotated[int, pydantic.Field(ge=1, le=65535)]


class Method(str, enum.Enum):
    """An HTTP method."""

    connect = "CONNECT"
    delete = "DELETE"
    get = "GET"
    head = "HEAD"
    options = "OPTIONS"
    patch = "PATCH"
    post = "POST"
    put = "PUT"
    trace = "TRACE"


class MeshType(str, enum.Enum):
    """A kind of service mesh."""

    istio = "istio"


class PolicyTargetType(str, enum.Enum):
    """What a policy opens: the application's Service (L7) or each of its units (L4)."""

    app = "app"
    unit = "unit"


class _Data(pydantic.BaseModel):
    """Data whose validator is built when it is first used: a hook uses few, and pays for all."""

    model_config = pydantic.ConfigDict(defer_build=True)


class Endpoint(_Data):
    """Requests that are allowed; a field that is not given allows any.

    Args:
        hosts: values of the Host header.
        ports: TCP ports, 1 to 65535.
        methods: HTTP methods.
        paths: paths as Istio matches them: exact, or a prefix or suffix with ``*``.
    """

    hosts: list[str] | None = None
    ports: list[_Port] | None = None
    methods: list[Method] | None = None
    paths: list[str] | None = None


class AppPolicy(_Data):
    """Who is related over ``relation`` may call ``endpoints`` through the Service (L7).

    Args:
        relation: the name of the charm's endpoint.
        endpoints: the requests that are allowed; none given allows all.
        service: the name of the Service, when it is not the application's own.
    """

    relation: str
    endpoints: list[Endpoint]
    service: str | None = None


class UnitPolicy(_Data):
    """Who is related over ``relation`` may reach every unit directly (L4).

    Args:
        relation: the name of the charm's endpoint.
        ports: TCP ports of the units; none given allows all.
    """

    relation: str
    ports: list[_Port] | None = None


class Policy(AppPolicy):
    """The name of AppPolicy in version 0.2; use AppPolicy."""

    def __init__(self, **data: Any) -> None:
        warnings.warn("Policy is deprecated: use AppPolicy", DeprecationWarning, stacklevel=2)
        super().__init__(**data)


class MeshPolicy(_Data):
    """A policy as it goes over the wire: the source may call these endpoints of the target.

    A target of type ``app`` is a Service: named by ``target_service``, or else by
    ``target_app_name``. A target of type ``unit`` is a set of pods: those of ``target_app_name``,
    or those that carry ``target_selector_labels``.

    Raises:
        pydantic.ValidationError: a name is not one, or the target does not fit its type.
    """

    source_namespace: _Name
    source_app_name: _Name
    target_namespace: _Name
    target_app_name: _Name | None = None
    target_selector_labels: dict[str, str] | None = None
    target_service: _Name | None = None
    target_type: PolicyTargetType = PolicyTargetType.app
    endpoints: list[Endpoint] = pydantic.Field(default_factory=list[Endpoint])

    @pydantic.model_validator(mode="after")
    def _target_fits_its_type(self) -> MeshPolicy:
        unfit = (
            self._unfit_unit() if self.target_type is PolicyTargetType.unit else self._unfit_app()
        )
        if unfit:
            raise ValueError(unfit)
        return self

    def _unfit_app(self) -> str | None:
        if self.target_selector_labels:
            return "an app target takes no target_selector_labels"
        if not (self.target_app_name or self.target_service):
            return "an app target needs target_app_name or target_service"
        return None

    def _unfit_unit(self) -> str | None:
        if self.target_service:
            return "a unit target takes no target_service"
        if self.target_app_name and self.target_selector_labels:
            return "a unit target takes target_app_name or target_selector_labels, not both"
        return None


class CMRData(_Data):
    """Who an application really is that is known by an alias here (cross-model relation)."""

    app_name: _Name
    juju_model_name: _Name


class ServiceMeshProviderAppData(_Data):
    """What a provider publishes; ``mesh_type`` is None where it named none that is known here."""

    labels: dict[str, str]
    mesh_type: MeshType | None = None


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A policy that was not accepted.

    Args:
        app: the application that asked for it, as it is known here.
        entry: what it asked for, as JSON; the whole value where that could not be read.
        reason: why, in a sentence.
    """

    app: str
    entry: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Review:
    """What a provider was asked for: what stands, and what it refused."""

    accepted: list[MeshPolicy]
    refused: list[Refusal]


def _reason(error: Exception) -> str:
    """Return the first thing that is wrong, without what pydantic adds.

    Somebody else's keys are escaped: as a line of the log this is an argument of a hook tool, which
    takes no NUL.
    """
    if not isinstance(error, pydantic.ValidationError):
        return f"not JSON: {error}"
    first = error.errors()[0]
    where = ".".join(str(part).encode("unicode_escape").decode() for part in first["loc"])
    what = first["msg"].removeprefix("Value error, ")
    if first["type"] == "string_pattern_mismatch":
        what = f"{first['input']!r} is not a name of an application, a model or a Service"
    return f"{where}: {what}" if where else what


def is_leaving(charm: ops.CharmBase) -> bool:
    """Return whether Juju is removing this unit, alone or with its application.

    Such a unit runs relation-broken for each of its relations, though the relations go on for the
    units that stay. On Kubernetes, Juju removes units from the highest number down. To ask costs a
    hook-tool process.
    """
    return int(charm.unit.name.rpartition("/")[2]) >= charm.app.planned_units()


def _publish(relation: ops.Relation, app: ops.Application, values: Mapping[str, str]) -> bool:
    """Write what differs, and return whether that was possible. Leader only."""
    try:
        bag = relation.data[app]
        if changed := {key: value for key, value in values.items() if bag.get(key) != value}:
            bag.update(changed)
    except (ops.RelationDataAccessError, ops.ModelError) as error:
        # While an application is torn down Juju may refuse its leader the databag.
        logger.warning("Cannot publish over %s: %s", relation, error)
        return False
    return True


# --- Building policies --------------------------------------------------------------------------


def build_mesh_policies(
    relation_mapping: Mapping[str, list[ops.Relation]],
    target_app_name: str,
    target_namespace: str,
    policies: Iterable[Policy | AppPolicy | UnitPolicy],
    cmr_application_data: Mapping[str, CMRData] | None = None,
) -> list[MeshPolicy]:
    """Return what the policies mean for the applications that are related now.

    The order is that of ``policies``, and of relation ids within one; nothing is in it twice. A
    remote application on the offering side of a cross-model relation is left out until its identity
    is known.

    Args:
        relation_mapping: the relations by endpoint, such as ``charm.model.relations``.
        target_app_name: the application that the policies open, such as ``charm.app.name``.
        target_namespace: its Kubernetes namespace, which is the model's name.
        policies: what the charm allows, and to whom.
        cmr_application_data: identities by local alias, as from ``get_data_from_cmr_relation``.
    """
    found = [
        _mesh_policy(policy, source, target_app_name, target_namespace)
        for policy in policies
        for relation in sorted(relation_mapping[policy.relation], key=lambda relation: relation.id)
        if (source := _source(relation.app.name, target_namespace, cmr_application_data or {}))
    ]
    return list({policy.model_dump_json(): policy for policy in found}.values())


def _source(app: str, namespace: str, identities: Mapping[str, CMRData]) -> CMRData | None:
    if app in identities:
        return identities[app]
    if _REMOTE_ALIAS.fullmatch(app):
        return None
    return CMRData(app_name=app, juju_model_name=namespace)


def _mesh_policy(
    policy: Policy | AppPolicy | UnitPolicy, source: CMRData, app: str, namespace: str
) -> MeshPolicy:
    unit = isinstance(policy, UnitPolicy)
    return MeshPolicy(
        source_namespace=source.juju_model_name,
        source_app_name=source.app_name,
        target_namespace=namespace,
        target_app_name=app,
        target_service=None if unit else policy.service,
        target_type=PolicyTargetType.unit if unit else PolicyTargetType.app,
        endpoints=_unit_endpoints(policy) if unit else policy.endpoints,
    )


def _unit_endpoints(policy: UnitPolicy) -> list[Endpoint]:
    return [Endpoint(ports=policy.ports)] if policy.ports else []


def get_data_from_cmr_relation(cmr_relations: Iterable[ops.Relation]) -> dict[str, CMRData]:
    """Return the identities that remote applications claim, by the application's name here.

    An identity that cannot be read, or whose names are not valid, is left out and logged. The
    others are claims: ``ServiceMeshConsumer`` checks each before it publishes a policy for it.

    Args:
        cmr_relations: the relations of the ``cross_model_mesh`` interface, provider side.
    """
    identities: dict[str, CMRData] = {}
    for relation in cmr_relations:
        if text := relation.data[relation.app].get("cmr_data"):
            try:
                identities[relation.app.name] = CMRData.model_validate_json(text)
            except pydantic.ValidationError as error:
                logger.warning("Refused the identity of %s: %s", relation.app.name, _reason(error))
    return identities


# --- Cross-model identity -----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Identified:
    """The remote applications behind some relations, as far as they are known.

    Args:
        identities: by the name under which Juju shows the remote application here.
        waiting: the relations whose remote application is not identified, by id.
        refused: the identities that name another model than the remote application's own.
        obstacle: why an identity could not be checked; empty if all were.
    """

    identities: dict[str, CMRData]
    waiting: list[ops.Relation]
    refused: list[Refusal]
    obstacle: str

    def message(self, endpoint: str) -> str:
        """Return the words for a unit's status; none if every remote application is identified.

        Args:
            endpoint: the endpoint over which remote applications identify themselves.
        """
        lines = [f"refused the identity of {each.app}: {each.reason}" for each in self.refused]
        if self.waiting:
            names = ", ".join(f"{each.name}:{each.id}" for each in self.waiting)
            lines.append(f"denying callers over {names} until {endpoint} identifies them")
        if self.obstacle:
            lines.append(self.obstacle)
        return "; ".join(lines)


class _Identities:
    """Identifies the remote applications behind cross-model relations.

    A remote application claims a name and a model over a relation of its own, the identity
    relation. The claim counts for all relations with the same remote application:

    - Juju 3.6 shows a remote application under one alias in all its relations. Relations with the
      same alias have the same remote application.
    - Juju 4 gives every relation an alias of its own. Relations have the same remote application if
      they lead to the same model and their units publish the same ``ingress-address``, which is the
      ClusterIP of the application's Service. If that address makes different claims, none counts.

    Each claim is checked once. Juju vouches for the UUID of the remote model and labels the model's
    namespace with it. A claim that names another model is refused. If Juju does not tell the UUID
    (before 3.6.2), there is nothing to compare and the claim is believed. If Kubernetes cannot be
    asked, claims that were checked before still count and a new one waits for the next event.

    Within its own model an application can claim to be another one, or publish its address. Nothing
    is refused then: if two identity relations claim the same application, both count. The policy
    opens to the application that is named. The other one gains nothing, since the mesh knows
    callers by their certificates.

    Args:
        charm: the charm.
        endpoint: its ``cross_model_mesh`` endpoint (provides).
        memory: the answers of Juju and Kubernetes, which never change. ``remote_models`` has the
            UUID by relation, and ``verdicts`` whether a UUID and a claimed name belong together.
        client: returns a Kubernetes client.
    """

    def __init__(
        self, charm: ops.CharmBase, endpoint: str, memory: Any, client: Callable[[], _AnyClient]
    ) -> None:
        self._charm = charm
        self._endpoint = endpoint
        self._memory = memory
        self._client = client

    def identify(self, relations: Iterable[ops.Relation]) -> _Identified:
        """Return the remote applications behind these relations.

        Other relations are read only if one of these may be cross-model.
        """
        remote = [each for each in relations if self._is_remote(each) is not False]
        if not remote:
            return _Identified({}, [], [], "")
        claims, refused, obstacle = self._checked_claims()
        found = {each: self._identity(each, claims) for each in remote}
        waiting = [each for each in remote if self._is_remote(each) and not found[each]]
        return _Identified(
            identities={each.app.name: identity for each, identity in found.items() if identity},
            waiting=sorted(waiting, key=lambda relation: relation.id),
            refused=refused,
            obstacle=obstacle,
        )

    def _checked_claims(self) -> tuple[dict[ops.Relation, CMRData], list[Refusal], str]:
        """Return the claims that count by identity relation, those refused, and an obstacle."""
        relations = self._charm.model.relations[self._endpoint]
        claims = get_data_from_cmr_relation(relations)
        checked: dict[ops.Relation, CMRData] = {}
        refused: list[Refusal] = []
        obstacle = ""
        for relation in (each for each in relations if each.app.name in claims):
            claim = claims[relation.app.name]
            try:
                if self._names_own_model(relation, claim):
                    checked[relation] = claim
                else:
                    reason = f"it names the model {claim.juju_model_name}, which is not its own"
                    refused.append(Refusal(relation.app.name, claim.model_dump_json(), reason))
            except kubernetes_errors() as error:
                obstacle = kubernetes_status(error, self._charm.app.name).message
        return checked, refused, obstacle

    def _names_own_model(self, relation: ops.Relation, claim: CMRData) -> bool:
        """Return whether a claim names the remote application's model, as far as Juju can tell."""
        uuid, name = self._remote_model(relation), claim.juju_model_name
        if uuid is None:
            return True
        verdicts, key = self._memory.verdicts, f"{uuid} {name}"
        if key not in verdicts:
            verdicts[key] = name in _namespaces_of(self._client(), uuid)
            if not verdicts[key]:
                text = "Refused the identity of %s: the model with UUID %s is not named %s"
                logger.warning(text, relation.app.name, uuid, name)
        return verdicts[key]

    def _identity(
        self, relation: ops.Relation, claims: Mapping[ops.Relation, CMRData]
    ) -> CMRData | None:
        """Return the identity of a relation's remote application, if it is certain."""
        for introduction, claim in claims.items():
            if introduction.app == relation.app:
                return claim
        if not (claims and _REMOTE_ALIAS.fullmatch(relation.app.name)):
            return None
        caller = self._caller(relation)
        found = [claim for each, claim in claims.items() if caller and self._caller(each) == caller]
        return found[0] if found and all(claim == found[0] for claim in found) else None

    def _caller(self, relation: ops.Relation) -> tuple[str, str] | None:
        """Return model and address of the application behind an alias, if both are known."""
        uuid = self._remote_model(relation)
        units = sorted(relation.units, key=lambda unit: unit.name) if uuid else ()
        addresses = (relation.data[unit].get("ingress-address") for unit in units)
        address = next(filter(None, addresses), None)
        return (uuid, address) if uuid and address else None

    def _is_remote(self, relation: ops.Relation) -> bool | None:
        """Return whether the other application is in another model; None if Juju cannot tell.

        Juju is asked only if the name of the application does not tell it.
        """
        if _REMOTE_ALIAS.fullmatch(relation.app.name):
            return True
        if relation.app == self._charm.app:
            return False
        uuid = self._model_uuid(relation)
        return None if uuid is None else uuid != self._charm.model.uuid

    def _remote_model(self, relation: ops.Relation) -> str | None:
        """Return the UUID of the remote model; None if Juju cannot tell.

        ops.testing gives a relation this model's UUID unless a test sets another one, and no remote
        application is in this model.
        """
        uuid = self._model_uuid(relation)
        return None if uuid == self._charm.model.uuid else uuid

    def _model_uuid(self, relation: ops.Relation) -> str | None:
        """Return the UUID of the other application's model. Asking Juju costs a process: once."""
        known = self._memory.remote_models
        if (key := str(relation.id)) not in known:
            try:
                known[key] = relation.remote_model.uuid
            except ops.ModelError:  # Juju before 3.6.2
                known[key] = None
        return known[key]


def _namespaces_of(client: _AnyClient, uuid: str) -> set[str]:
    """Return the namespaces that Juju labels with a model's UUID.

    Every application may list namespaces, also one that is not trusted.
    """
    from lightkube.resources.core_v1 import Namespace

    found = client.list(Namespace, labels={"model.juju.is/id": uuid})
    return {namespace.metadata.name for namespace in found}


# --- Consumer -----------------------------------------------------------------------------------

# What a leader makes right. It stays right until an event outdates it.
_IDENTITY, _POLICIES, _LABELS = _PARTS = ("identity", "policies", "labels")


class ServiceMeshConsumer(ops.Object):
    """Puts the charm's application on the mesh that it is related to.

    It observes every event that can change the answer and makes the databags and labels match the
    relations as they are then: what one event missed, the next puts right. Only the leader writes.

    Whatever a hook asks Juju is a process. So what this unit has made right is left alone until an
    event comes that may have changed it.

    Args:
        charm: the charm.
        mesh_relation_name: its ``service_mesh`` endpoint (requires).
        cross_model_mesh_requires_name: its ``cross_model_mesh`` endpoint (requires), over which it
            says who it is.
        cross_model_mesh_provides_name: its ``cross_model_mesh`` endpoint (provides), over which
            others say so.
        policies: who may call this application.
        auto_join: label the application's pods and Service. Turned off later, what was set is
            removed.
    """

    # What no relation holds: which parts are right and for which arguments; whether there are
    # labels to remove, where None is for those that a pod before this one may have set; how it went
    # with Kubernetes; which remote applications are not identified; and the answers of Juju and
    # Kubernetes about remote models. A new pod starts without it, and learns it again from its
    # first events.
    _memory = ops.StoredState()

    def __init__(
        self,
        charm: ops.CharmBase,
        mesh_relation_name: str = "service-mesh",
        cross_model_mesh_requires_name: str = "require-cmr-mesh",
        cross_model_mesh_provides_name: str = "provide-cmr-mesh",
        policies: Sequence[Policy | AppPolicy | UnitPolicy] | None = None,
        auto_join: bool = True,
    ) -> None:
        super().__init__(charm, mesh_relation_name)
        self._charm = charm
        self._mesh_relation_name = mesh_relation_name
        self._requires_name = cross_model_mesh_requires_name
        self._provides_name = cross_model_mesh_provides_name
        self._policies = list(policies or ())
        self._auto_join = auto_join
        self._ledger_name = label_configmap_name_template.format(app_name=charm.app.name)
        self._client: Client | None = None
        self._memory.set_default(right={}, joined=False, trouble=None)
        self._memory.set_default(unidentified="", remote_models={}, verdicts={})
        self._remote = _Identities(
            charm, cross_model_mesh_provides_name, self._memory, lambda: self.lightkube_client
        )
        self._observe()

    def _observe(self) -> None:
        """Observe every event that can change the answer, or is a chance to do what is left."""
        self._check_declared()
        on = self._charm.on
        mesh, requires, provides = (
            on[name]
            for name in (self._mesh_relation_name, self._requires_name, self._provides_name)
        )
        policed = [on[name] for name in self._policy_endpoints()]
        observed = {
            self._on_upgrade: [on.upgrade_charm],
            self._on_all_outdated: [on.leader_elected],
            self._on_identity_outdated: [requires.relation_created],
            self._on_policies_outdated: [
                *(mesh.relation_created, provides.relation_changed),
                *(each.relation_created for each in policed),
            ],
            self._on_policies_broken: [
                provides.relation_broken,
                *(each.relation_broken for each in policed),
            ],
            self._on_mesh_broken: [mesh.relation_broken],
            self._on_labels_outdated: [
                *(mesh.relation_created, mesh.relation_changed),
                *(on.config_changed, on.update_status),
            ],
            self._on_policed_changed: [each.relation_changed for each in policed],
            self._on_chance: [
                *(requires.relation_changed, requires.relation_departed, requires.relation_broken),
                *(provides.relation_created, provides.relation_departed),
            ],
            self._on_commit: [self.framework.on.commit],
        }
        for observer, events in observed.items():
            for event in events:
                self.framework.observe(event, observer)

    def _check_declared(self) -> None:
        """Raise ValueError for an endpoint that is not declared, such as a misspelt one."""
        mesh = (self._mesh_relation_name, self._requires_name, self._provides_name)
        declared = self._charm.meta.relations
        for name in (*mesh, *self._policy_endpoints()):
            if name not in declared:
                raise ValueError(
                    f"the mesh or a policy names the endpoint {name!r}, "
                    f"and charmcraft.yaml has only {', '.join(sorted(declared))}"
                )

    def _on_upgrade(self, _: ops.EventBase) -> None:
        """Reconcile after a revision that may have joined, in a pod that may remember nothing."""
        if not self._auto_join and not self._memory.joined and self.labels():
            self._memory.joined = None
        self._reconcile(outdated=_PARTS)

    def _on_mesh_broken(self, _: ops.EventBase) -> None:
        """Leave. A pod that goes down in here runs this hook again when it is up, a new one."""
        if self._auto_join and not self._memory.joined:
            self._memory.joined = None
        self._reconcile(outdated=(_LABELS,))

    def _on_all_outdated(self, _: ops.EventBase) -> None:
        self._reconcile(outdated=_PARTS)

    def _on_identity_outdated(self, _: ops.EventBase) -> None:
        self._reconcile(outdated=(_IDENTITY,))

    def _on_policies_outdated(self, _: ops.EventBase) -> None:
        self._reconcile(outdated=(_POLICIES,))

    def _on_policies_broken(self, _: ops.EventBase) -> None:
        """Publish without the relation, unless only this unit leaves it."""
        if not is_leaving(self._charm):
            self._reconcile(outdated=(_POLICIES,))

    def _on_labels_outdated(self, _: ops.EventBase) -> None:
        self._reconcile(outdated=(_LABELS,))

    def _on_policed_changed(self, event: ops.RelationChangedEvent) -> None:
        """Identify a remote application again: its address arrives with its first unit."""
        remote = _REMOTE_ALIAS.fullmatch(event.relation.app.name)
        self._reconcile(outdated=(_POLICIES,) if remote else ())

    def _on_chance(self, _: ops.EventBase) -> None:
        self._reconcile()

    def _reconcile(self, outdated: Sequence[str] = ()) -> None:
        """Make the databags and the labels match the relations as they are now."""
        if not self._charm.unit.is_leader():
            self._follow()
            return
        for part in outdated:
            self._memory.right.pop(part, None)
        self._make_right(_IDENTITY, "", self._publish_identity)
        self._make_right(_POLICIES, repr(self._policies), self._publish_policies)
        self._make_right(_LABELS, self._auto_join, self._reconcile_labels)

    def _make_right(self, part: str, arguments: object, action: Callable[[], bool]) -> None:
        """Do what is not known to be done, and remember that it is, if it is, for what."""
        if self._memory.right.get(part) != arguments and action():
            self._memory.right[part] = arguments

    def _follow(self) -> None:
        """Keep in mind that there may be labels to remove. What is right, the leader may change."""
        self._memory.right = {}
        self._memory.trouble = None
        self._memory.unidentified = ""
        if self._auto_join and not self._memory.joined and self.labels():
            self._memory.joined = True

    def _on_commit(self, _: ops.EventBase) -> None:
        """Close the connection to Kubernetes, where lightkube can, when all handlers have run."""
        close: Callable[[], None] | None = getattr(self._client, "close", None)
        if close:
            close()

    def update_service_mesh(self) -> None:
        """Publish who this application is and who may call it, if this unit is the leader.

        The library does this by itself; a charm calls it only when something else changed that a
        policy depends on.
        """
        if self._charm.unit.is_leader():
            self._publish_identity()
            self._publish_policies()

    def _publish_identity(self) -> bool:
        me = CMRData(app_name=self._charm.app.name, juju_model_name=self._charm.model.name)
        data = {"cmr_data": json.dumps(me.model_dump())}
        relations = self._charm.model.relations[self._requires_name]
        published = [_publish(relation, self._charm.app, data) for relation in relations]
        return all(published)

    def _publish_policies(self) -> bool:
        self._memory.unidentified = ""
        if self._relation is None:
            return True
        remote = self._remote.identify(self._policed())
        self._memory.unidentified = remote.message(self._requires_name)
        policies = [policy.model_dump(mode="json") for policy in self._mesh_policies(remote)]
        data = {"policies": json.dumps(policies)}
        return _publish(self._relation, self._charm.app, data) and not remote.obstacle

    def _mesh_policies(self, remote: _Identified) -> list[MeshPolicy]:
        relations = self._charm.model.relations
        identified = {
            name: [each for each in relations[name] if each not in remote.waiting]
            for name in self._policy_endpoints()
        }
        return build_mesh_policies(
            relation_mapping=identified,
            target_app_name=self._charm.app.name,
            target_namespace=self._charm.model.name,
            policies=self._policies,
            cmr_application_data=remote.identities,
        )

    def _policy_endpoints(self) -> Iterable[str]:
        return dict.fromkeys(policy.relation for policy in self._policies)

    def _policed(self) -> list[ops.Relation]:
        """Return the relations that have a policy."""
        relations = self._charm.model.relations
        return [each for name in self._policy_endpoints() for each in relations[name]]

    def waiting_for_identity(self) -> list[ops.Relation]:
        """Return the relations with a policy whose remote application is not identified, by id.

        The mesh denies the callers behind them. Without a mesh, no relation waits.
        """
        return self._remote.identify(self._policed()).waiting if self.enabled else []

    def refused_identities(self) -> list[Refusal]:
        """Return the identities that name another model than the remote application's own.

        No policy is published for them. Without a mesh, or without a cross-model relation that has
        a policy, no identity is checked.
        """
        return self._remote.identify(self._policed()).refused if self.enabled else []

    @property
    def _relation(self) -> ops.Relation | None:
        return self._charm.model.get_relation(self._mesh_relation_name)

    @property
    def enabled(self) -> bool:
        """Whether the application is related to a mesh."""
        return self._relation is not None

    def _provided(self) -> ServiceMeshProviderAppData | None:
        return _provider_data(self._relation) if self._relation else None

    def labels(self) -> dict[str, str]:
        """Return the labels by which a pod joins the mesh; none until a mesh has published some."""
        provided = self._provided()
        return provided.labels if provided else {}

    def mesh_type(self) -> MeshType | None:
        """Return the kind of mesh; None without a mesh, and where it did not say."""
        provided = self._provided()
        return provided.mesh_type if provided else None

    def status(self) -> ops.StatusBase:
        """Return whether the application is on the mesh and, if not, why.

        It is for ``collect_unit_status``, in any event:

        - Active: on the mesh, or not related to one, which is no fault; the message says so. It
          also names a label that was left alone, such as one that somebody else set, and the
          cross-model relations whose callers are denied because they are not identified.
        - Blocked: Kubernetes refuses. The message has verb and object, and the command that helps.
        - Waiting: the mesh has published no labels yet, or Kubernetes did not do as it was asked;
          the next event tries again.

        The relation, and what the mesh published, is looked at now. What Kubernetes said, and who
        is not identified, is remembered from the last event in which this unit, as the leader,
        asked; other units do not know.
        """
        status = self._label_status()
        if isinstance(status, ops.ActiveStatus):
            messages = filter(None, (status.message, self._memory.unidentified))
            return ops.ActiveStatus("; ".join(messages))
        return status

    def _label_status(self) -> ops.StatusBase:
        """Return whether the application's pods carry the labels of the mesh."""
        if self._memory.trouble:
            return ops.StatusBase.from_name(*self._memory.trouble)
        if self._relation is None:
            return ops.ActiveStatus("not on a service mesh")
        if self._provided() is None:
            return ops.WaitingStatus(f"waiting for {self._relation.app.name} to publish its labels")
        if not self._auto_join:
            return ops.ActiveStatus("mesh labels are left to the charm")
        return ops.ActiveStatus()

    def _reconcile_labels(self) -> bool:
        """Put the labels on, or take them off. What a mesh has not said yet changes nothing."""
        self._memory.trouble = None
        if self._relation is None or not self._auto_join:
            left = self._memory.joined is False or self._ask_kubernetes(self._leave)
            return left or self._was_never_let_in()
        provided = self._provided()
        return not provided or self._ask_kubernetes(lambda: self._join(provided.labels))

    def _was_never_let_in(self) -> bool:
        """Tell whether leaving is nobody's concern; it is tried again, should trust come later."""
        if self._memory.joined is None:
            self._memory.trouble = None
        return self._memory.joined is None

    def _join(self, labels: dict[str, str]) -> None:
        self._memory.joined = self._memory.joined or None
        left_alone = self._set_labels(labels)
        self._memory.joined = True
        if left_alone:
            self._remember(ops.ActiveStatus("; ".join(left_alone.values())))

    def _leave(self) -> None:
        """Take the labels off, unless Juju is removing the pods that carry them.

        A change of labels restarts the pods. Juju 4 does not take a pod back whose application it
        is removing, and the removal would hang.
        """
        if not is_leaving(self._charm):
            self._set_labels({})
        elif self._charm.app.planned_units() == 0:
            self._ledger().write({})
        self._memory.joined = False

    def _ledger(self) -> _Ledger:
        return _Ledger(self.lightkube_client, self._ledger_name, self._charm.model.name)

    def _set_labels(self, labels: dict[str, str]) -> dict[str, str]:
        return reconcile_charm_labels(
            client=self.lightkube_client,
            app_name=self._charm.app.name,
            namespace=self._charm.model.name,
            label_configmap_name=self._ledger_name,
            labels=labels,
        )

    def _ask_kubernetes(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except kubernetes_errors() as error:
            status = kubernetes_status(error, self._charm.app.name)
            logger.warning("%s (%s)", status.message, error)
            self._remember(status)
            if not isinstance(status, ops.BlockedStatus):
                self._memory.joined = True  # it may have got halfway
            return False
        return True

    def _remember(self, status: ops.StatusBase) -> None:
        self._memory.trouble = [status.name, status.message]

    @property
    def lightkube_client(self) -> Client:
        """The Kubernetes client that this library uses."""
        if self._client is None:
            from lightkube import Client

            _quieten_http()
            self._client = Client(
                namespace=self._charm.model.name, field_manager=self._charm.app.name
            )
        return self._client


_MESH_TYPES = {json.dumps(mesh_type): mesh_type for mesh_type in MeshType}


def _provider_data(relation: ops.Relation) -> ServiceMeshProviderAppData | None:
    """Return what the mesh published; None where there are no labels that can be read."""
    bag = relation.data[relation.app]
    if "labels" not in bag:
        return None
    try:
        labels = json.loads(bag["labels"])
        mesh_type = _MESH_TYPES.get(bag.get("mesh_type", ""))
        return ServiceMeshProviderAppData(labels=labels, mesh_type=mesh_type)
    except (ValueError, RecursionError) as error:
        logger.warning("Cannot read the labels of %s: %s", relation.app.name, _reason(error))
        return None


# --- Provider -----------------------------------------------------------------------------------


# Of each application. A line of the log is a hook-tool process, and a bad bag has any number.
_MOST_LOGGED = 10


class ServiceMeshProvider(ops.Object):
    """Offers a mesh to related applications, and collects the policies that they ask for.

    Args:
        charm: the charm.
        labels: the labels by which a pod joins the mesh.
        mesh_type: the kind of mesh.
        mesh_relation_name: the charm's ``service_mesh`` endpoint (provides).
    """

    def __init__(
        self,
        charm: ops.CharmBase,
        labels: Mapping[str, str],
        mesh_type: MeshType = MeshType.istio,
        mesh_relation_name: str = "service-mesh",
    ) -> None:
        super().__init__(charm, mesh_relation_name)
        self._charm = charm
        self._data = {"labels": json.dumps(dict(labels)), "mesh_type": json.dumps(mesh_type)}
        self._relation_name = mesh_relation_name
        self._logged: defaultdict[str, set[Refusal]] = defaultdict(set)
        on = charm.on
        created = on[mesh_relation_name].relation_created
        for event in (created, on.config_changed, on.leader_elected, on.upgrade_charm):
            self.framework.observe(event, self._on_change)

    def _on_change(self, _: ops.EventBase) -> None:
        self.update_relations()

    def update_relations(self) -> None:
        """Publish the labels and the kind of mesh to all, if this unit is the leader."""
        if self._charm.unit.is_leader():
            for relation in self._relations():
                _publish(relation, self._charm.app, self._data)

    def mesh_info(self) -> list[MeshPolicy]:
        """Return every well-formed policy that was asked for, relation by relation.

        Whether it was the sender's to ask is not looked at: see ``review``.
        """
        return [
            each for _, asked in self._asked() for each in asked if isinstance(each, MeshPolicy)
        ]

    def review(self) -> Review:
        """Return the policies that stand, and what was refused, from whom and why.

        Beside what is malformed, this refuses what is not the sender's to ask:

        - A target that is not the sender: another application or namespace, a Service that belongs
          to another application on this mesh (it has that name, or that name and a dash before
          more), or pods selected without the sender's own ``app.kubernetes.io/name``.
        - A unit target with neither application nor selector, which would open a whole namespace.

        For a sender in this model that is exact. Of a sender in another model only an alias is
        known here, and not what is its own: it is refused, and belongs to a mesh in its own model.
        """
        apps = {relation.app.name for relation in self._relations()}
        reviewed = [
            self._reviewed(app, each, apps) for app, asked in self._asked() for each in asked
        ]
        return Review(
            accepted=[entry for entry in reviewed if isinstance(entry, MeshPolicy)],
            refused=[entry for entry in reviewed if isinstance(entry, Refusal)],
        )

    def _relations(self) -> list[ops.Relation]:
        return self._charm.model.relations[self._relation_name]

    def _asked(self) -> Iterable[tuple[str, Sequence[MeshPolicy | Refusal]]]:
        """Return each sender with what it asks for, well-formed or refused."""
        for relation in self._relations():
            text = relation.data[relation.app].get("policies", "[]")
            try:
                yield relation.app.name, _policy_list().validate_json(text)
            except pydantic.ValidationError:
                yield relation.app.name, self._asked_one_by_one(relation.app.name, text)

    def _asked_one_by_one(self, app: str, text: str) -> list[MeshPolicy | Refusal]:
        """Return what stands of what could not be taken as a whole, which is quicker."""
        try:
            return [self._parsed(app, entry) for entry in _json_list(text)]
        except (ValueError, RecursionError) as error:
            return [self._refuse(app, text, _reason(error))]

    def _parsed(self, app: str, entry: object) -> MeshPolicy | Refusal:
        try:
            return MeshPolicy.model_validate(entry)
        except pydantic.ValidationError as error:
            return self._refuse(app, json.dumps(entry), _reason(error))

    def _reviewed(
        self, app: str, asked: MeshPolicy | Refusal, apps: Set[str]
    ) -> MeshPolicy | Refusal:
        if isinstance(asked, MeshPolicy) and (reason := self._overreach(app, asked, apps)):
            return self._refuse(app, json.dumps(asked.model_dump(mode="json")), reason)
        return asked

    def _overreach(self, app: str, policy: MeshPolicy, apps: Set[str]) -> str | None:
        """Return why a policy is not the sender's to ask for, if it is not.

        Args:
            app: the sender.
            policy: what it asks for.
            apps: the applications on this mesh.
        """
        if reason := _boundless(policy):
            return reason
        if _REMOTE_ALIAS.fullmatch(app):
            return "what is a sender's in another model is not known: relate it to a mesh there"
        if policy.target_namespace != self._charm.model.name:
            return f"its target is in {policy.target_namespace}, not in the sender's model"
        return _foreign_target(app, policy, apps)

    def _refuse(self, app: str, entry: str, reason: str) -> Refusal:
        refusal = Refusal(app, entry, reason)
        if refusal not in self._logged[app] and len(self._logged[app]) < _MOST_LOGGED:
            logger.warning("Refused a policy of %s: %s", app, reason)
            self._logged[app].add(refusal)
        return refusal


def _foreign_target(app: str, policy: MeshPolicy, apps: Set[str]) -> str | None:
    """Return why a target in the sender's model is not the sender's, if it is not."""
    if policy.target_app_name not in (None, app):
        return f"its target is {policy.target_app_name}, not the sender"
    owner = _owner(policy.target_service or app, apps)
    if owner not in (None, app):
        return f"the Service {policy.target_service} belongs to {owner}, not to the sender"
    selector = policy.target_selector_labels
    if selector and selector.get(_NAME_LABEL) != app:
        return f"its selector has not {_NAME_LABEL}={app} and so may select others' pods"
    return None


def _owner(service: str, apps: Set[str]) -> str | None:
    """Return the application to which a Service belongs by its name, if any: the longest."""
    words = service.split("-")
    names = ("-".join(words[:count]) for count in range(len(words), 0, -1))
    return next((name for name in names if name in apps), None)


def _boundless(policy: MeshPolicy) -> str | None:
    """Return why a target is too wide, if it has no bounds."""
    unit = policy.target_type is PolicyTargetType.unit
    if unit and not (policy.target_app_name or policy.target_selector_labels):
        return "a unit target without application or selector opens the whole namespace"
    return None


@functools.cache
def _policy_list() -> pydantic.TypeAdapter[list[MeshPolicy]]:
    return pydantic.TypeAdapter(list[MeshPolicy])


def _json_list(text: str) -> list[object]:
    value = json.loads(text)
    if not isinstance(value, list):
        raise ValueError("policies are a list")
    return cast("list[object]", value)


# --- Kubernetes ---------------------------------------------------------------------------------

_API_PATH = re.compile(r"/(?:api|apis/[^/]+)/v\w+/(?:namespaces/[^/]+/)?(?P<object>.+)")
_VERBS = {"DELETE": "delete", "PATCH": "patch", "POST": "create", "PUT": "update"}


class IstioNotInstalledError(Exception):
    """The cluster has no AuthorizationPolicies, which come with Istio."""

    def __init__(self) -> None:
        super().__init__("the cluster has no AuthorizationPolicies: install Istio first")


def kubernetes_errors() -> tuple[type[Exception], ...]:
    """Return what is raised when Kubernetes refuses, fails, is away, or has no Istio.

    For ``except kubernetes_errors() as error``, which imports nothing unless something is raised.
    Catching lightkube.ApiError is not enough: a dropped connection, and an answer that is not JSON,
    such as the 404 for an unknown kind, are errors of the HTTP client below. That is httpx for
    lightkube 0.x and httpx2 for 1.x; both have one ancestor for these and for ApiError.
    """
    from lightkube import ApiError
    from lightkube.core.exceptions import ConfigError

    http_error = next(cls for cls in ApiError.__mro__ if cls.__base__ is Exception)
    return (http_error, ConfigError, IstioNotInstalledError)


def kubernetes_status(error: Exception, app_name: str) -> ops.StatusBase:
    """Return what a unit's status is to say of an error out of ``kubernetes_errors``.

    Blocked where somebody has to do something: where Kubernetes forbids (403), with the object, the
    verb and the command that helps, and where there is no Istio. Else Waiting: a conflict, a server
    that fails or is away may be over at the next event.

    Args:
        error: what was raised.
        app_name: the application to trust.
    """
    if isinstance(error, IstioNotInstalledError):
        return ops.BlockedStatus(str(error))
    response = getattr(error, "response", None)
    if response is None:
        return ops.WaitingStatus(f"Kubernetes is away ({type(error).__name__}), will try again")
    asked = _request_words(response.request.method, response.request.url.path)
    if response.status_code == 403:
        return ops.BlockedStatus(f"may not {asked}: run `juju trust {app_name} --scope=cluster`")
    return ops.WaitingStatus(f"could not {asked} ({response.status_code}), will try again")


def _request_words(method: str, path: str) -> str:
    """Return verb and object of a request, such as `get statefulsets/producer`."""
    found = _API_PATH.search(path)
    target = found["object"] if found else path
    return f"{_VERBS.get(method, 'get' if '/' in target else 'list')} {target}"


def _code(error: Exception) -> int | None:
    """Return the HTTP status that Kubernetes answered with, if it did."""
    return getattr(getattr(error, "response", None), "status_code", None)


def _quieten_http() -> None:
    """Have HTTP clients log warnings alone, unless the charm has set a level itself.

    Each line of a charm's log is a hook-tool process, and a request is a dozen lines.
    """
    for name in ("httpcore", "httpcore2", "httpx", "httpx2"):
        http = logging.getLogger(name)
        if http.level == logging.NOTSET:
            http.setLevel(logging.WARNING)


@contextlib.contextmanager
def _missing_is_fine() -> Generator[None]:
    try:
        yield
    except kubernetes_errors() as error:
        # Not the 404 of something between here and Kubernetes, which says nothing of the object.
        if getattr(getattr(error, "status", None), "reason", None) != "NotFound":
            raise


# --- Labels -------------------------------------------------------------------------------------

_JUJU_PREFIXES = (
    "app.kubernetes.io/",
    "app.juju.is/",
    "model.juju.is/",
    "controller.juju.is/",
)

_FIELD_MANAGER = "juju-service-mesh"

# For each label, the values that this library may have given it, the newest first.
_Ours = dict[str, list[str]]


def reconcile_charm_labels(
    client: Client,
    app_name: str,
    namespace: str,
    label_configmap_name: str,
    labels: Mapping[str, str],
) -> dict[str, str]:
    """Give these labels to an application's pods and Service, and remove those given before.

    What is ours is in a ConfigMap, recorded *before* it is set: a crash between any two calls
    leaves nothing behind that the next call would not find. Giving no labels removes the ConfigMap
    too. Where nothing is to be changed, this makes three reads and no write.

    Left alone are labels that are Juju's or in a selector, those that Kubernetes would not take,
    and those that somebody else set to another value.

    Args:
        client: a lightkube client.
        app_name: the application, whose StatefulSet and Service have its name.
        namespace: the namespace of both.
        label_configmap_name: see ``label_configmap_name_template``.
        labels: the labels to have. Juju's pods restart, one by one, when they change.

    Returns:
        Why a label was left alone, in a few words, by its key.

    Raises:
        lightkube.ApiError: Kubernetes refused or failed; see ``kubernetes_errors``.
    """
    ledger = _Ledger(client, label_configmap_name, namespace)
    if not (ledger.exists or labels):
        return {}
    carriers = _carriers(client, app_name, namespace)
    selected = {key for carrier in carriers for key in carrier.selector}
    refused = _refused_labels(labels, selected)
    wanted = {key: value for key, value in labels.items() if key not in refused}
    ours = {key: values for key, values in ledger.ours.items() if not _reserved(key, selected)}
    _change_labels(ledger, carriers, wanted, ours)
    taken = {key: why for carrier in carriers for key, why in carrier.taken(wanted, ours).items()}
    return {**refused, **taken}


def _change_labels(
    ledger: _Ledger, carriers: list[_Carrier], wanted: dict[str, str], ours: _Ours
) -> None:
    """Record, change, record: in this order, so that a crash leaves nothing unrecorded."""
    after: _Ours = {
        key: [value]
        for key, value in wanted.items()
        if any(carrier.is_free(key, value, ours) for carrier in carriers)
    }
    changes = [(carrier, carrier.changes(wanted, ours)) for carrier in carriers]
    if any(change for _, change in changes):
        ledger.write(_union(after, ours))
    for carrier, change in changes:
        carrier.patch(change)
    ledger.write(after)


def _union(newer: _Ours, older: _Ours) -> _Ours:
    keys = {**older, **newer}
    return {key: list(dict.fromkeys(newer.get(key, []) + older.get(key, []))) for key in keys}


def _reserved(key: str, selected: set[str]) -> bool:
    """Tell whether a label is Juju's own or selects pods: touching it breaks the application."""
    return key in selected or key.startswith(_JUJU_PREFIXES)


def _refused_labels(labels: Mapping[str, str], selected: set[str]) -> dict[str, str]:
    legal = {key: _is_legal_label(key, value) for key, value in labels.items()}
    refused = {key: f"label {key!r} is not legal" for key in labels if not legal[key]}
    reserved = {key: f"label {key} is Juju's" for key in labels if _reserved(key, selected)}
    return {**refused, **reserved}


def _is_legal_label(key: str, value: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    legal_prefix = not slash or (len(prefix) <= 253 and _LABEL_PREFIX.fullmatch(prefix))
    return bool(legal_prefix and _NAME.fullmatch(name) and (not value or _NAME.fullmatch(value)))


@dataclasses.dataclass(frozen=True)
class _Carrier:
    """A Kubernetes object that carries the labels, as it is now."""

    client: _AnyClient
    resource: type[NamespacedResource]
    name: str
    namespace: str
    labels_at: tuple[str, ...]
    labels: dict[str, str]
    selector: dict[str, str]

    def is_free(self, key: str, value: str, ours: _Ours) -> bool:
        """Tell whether the label is not set, set as wanted, or ours to change."""
        current = self.labels.get(key)
        return current in (None, value) or current in ours.get(key, ())

    def taken(self, wanted: dict[str, str], ours: _Ours) -> dict[str, str]:
        """Return, by key, the labels that somebody else set to another value."""
        where = f"{self.resource.__name__} {self.name}"
        return {
            key: f"label {key}={self.labels[key]} on {where} was set by somebody else"
            for key, value in wanted.items()
            if not self.is_free(key, value, ours)
        }

    def changes(self, wanted: dict[str, str], ours: _Ours) -> dict[str, str | None]:
        """Return what to set, and what of ours to remove (None)."""
        to_set = {
            key: value
            for key, value in wanted.items()
            if self.labels.get(key) != value and self.is_free(key, value, ours)
        }
        unwanted = ours.keys() - wanted.keys()
        to_remove = {key: None for key in sorted(unwanted) if self.labels.get(key) in ours[key]}
        return {**to_set, **to_remove}

    def patch(self, changes: dict[str, str | None]) -> None:
        """Change these labels and nothing else, by a strategic merge."""
        if changes:
            body: dict[str, Any] = {"labels": changes}
            for part in reversed(self.labels_at):
                body = {part: body}
            with _missing_is_fine():
                self.client.patch(self.resource, self.name, body, namespace=self.namespace)


def _carriers(client: _AnyClient, app: str, namespace: str) -> list[_Carrier]:
    """Return the StatefulSet, whose template makes the pods, and the Service, where they exist."""
    from lightkube.resources.apps_v1 import StatefulSet
    from lightkube.resources.core_v1 import Service

    places = (
        (StatefulSet, ("spec", "template", "metadata"), ("spec", "selector", "matchLabels")),
        (Service, ("metadata",), ("spec", "selector")),
    )
    carriers: list[_Carrier] = []
    for resource, labels_at, selector_at in places:
        with _missing_is_fine():
            found = client.get(resource, app, namespace=namespace).to_dict()
            labels, selector = _dig(found, *labels_at, "labels"), _dig(found, *selector_at)
            carriers.append(_Carrier(client, resource, app, namespace, labels_at, labels, selector))
    return carriers


def _dig(found: Any, *path: str) -> dict[str, str]:
    """Return a mapping that may be missing, at a path that may be."""
    for part in path:
        found = found.get(part) or {}
    return found


class _LedgerData(_Data):
    """The ConfigMap's data: each value is JSON.

    ``labels`` has the newest value of each label, as the published library writes it. While values
    change, ``replaced`` has those that a pod template or a Service may still have.
    """

    labels: pydantic.Json[dict[str, str]] = pydantic.Field(default_factory=dict[str, str])
    replaced: pydantic.Json[dict[str, list[str]]] = pydantic.Field(
        default_factory=dict[str, list[str]]
    )


class _Ledger:
    """What this library set, remembered in a ConfigMap."""

    def __init__(self, client: _AnyClient, name: str, namespace: str) -> None:
        from lightkube.resources.core_v1 import ConfigMap

        self._client, self._name, self._namespace = client, name, namespace
        self.exists = False
        self.ours: _Ours = {}
        with _missing_is_fine():
            found = client.get(ConfigMap, name, namespace=namespace)
            self.exists = True
            self.ours = self._parse(found.data or {})

    def _parse(self, data: Mapping[str, str]) -> _Ours:
        try:
            read = _LedgerData.model_validate(data)
        except pydantic.ValidationError as error:
            logger.warning("ConfigMap %s is damaged, starting anew: %s", self._name, _reason(error))
            return {}
        return {key: [value, *read.replaced.get(key, ())] for key, value in read.labels.items()}

    def write(self, ours: _Ours) -> None:
        """Record this, where it differs; nothing to record removes the ConfigMap."""
        if not ours and self.exists:
            self._delete()
        elif ours != self.ours:
            self._apply(ours)
        self.exists, self.ours = bool(ours), ours

    def _apply(self, ours: _Ours) -> None:
        from lightkube.models.meta_v1 import ObjectMeta
        from lightkube.resources.core_v1 import ConfigMap

        data = {
            "labels": json.dumps({key: values[0] for key, values in ours.items()}),
            "replaced": json.dumps({key: values[1:] for key, values in ours.items() if values[1:]}),
        }
        metadata = ObjectMeta(name=self._name, namespace=self._namespace)
        self._client.apply(
            ConfigMap(metadata=metadata, data=data), field_manager=_FIELD_MANAGER, force=True
        )

    def _delete(self) -> None:
        from lightkube.resources.core_v1 import ConfigMap

        with _missing_is_fine():
            self._client.delete(ConfigMap, self._name, namespace=self._namespace)


# --- Resources ----------------------------------------------------------------------------------

# Kubernetes' limit for a name, a DNS subdomain, and what a hash and its dash take of it.
_NAME_LENGTH = 253 - 9

# Answers that are about one policy and say nothing of the others: it is malformed, its namespace is
# not there, or it is invalid.
_ABOUT_ONE_POLICY = (400, 404, 422)

_Manifest = dict[str, Any]
_Key = tuple[str, str]  # namespace and name


@functools.cache
def authorization_policy_resource() -> type[GenericNamespacedResource]:
    """Return lightkube's class for Istio's AuthorizationPolicy (security.istio.io/v1).

    https://istio.io/latest/docs/reference/config/security/authorization-policy/
    """
    from lightkube import generic_resource

    module: Any = generic_resource
    return module.create_namespaced_resource(
        "security.istio.io", "v1", "AuthorizationPolicy", "authorizationpolicies"
    )


class PolicyResourceManager:
    """Keeps the AuthorizationPolicies of a charm as they should be.

    What it owns it finds again by labels, in all namespaces, for which the application needs trust.

    Args:
        charm: the charm.
        lightkube_client: for all calls to Kubernetes.
        labels: what marks the resources of this manager; two managers need different ones. By
            default, the application and its model.
        logger: where to log.
    """

    def __init__(
        self,
        charm: ops.CharmBase,
        lightkube_client: Client,
        labels: Mapping[str, str] | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self._app = charm.app.name
        self._model = charm.model.name
        self._client: _AnyClient = lightkube_client
        self._labels = dict(
            labels or {"mesh-policies-app": self._app, "mesh-policies-model": self._model}
        )
        self._log = logger or logging.getLogger(__name__)

    def reconcile(
        self,
        policies: Iterable[MeshPolicy],
        mesh_type: MeshType,
        raw_policies: Iterable[GenericNamespacedResource] | None = None,
        force: bool = True,
        ignore_missing: bool = True,
    ) -> list[Refusal]:
        """Make the cluster have these policies, and none other of this manager.

        What is new is applied before what is stale is deleted, so that an update never denies for a
        moment what is allowed before and after it.

        Args:
            policies: what to allow.
            mesh_type: the kind of mesh.
            raw_policies: resources of ``authorization_policy_resource()``, to be kept as they are.
            force: take fields over from others who applied them.
            ignore_missing: let pass what is already gone when it is to be deleted.

        Returns:
            The policies that could not be applied, each with its reason. All others are.

        Raises:
            TypeError: a raw policy is of another type.
            ValueError: the kind of mesh is unknown.
            IstioNotInstalledError: the cluster has no AuthorizationPolicies.
            lightkube.ApiError: Kubernetes refused or failed; see ``kubernetes_errors``.
        """
        if mesh_type != MeshType.istio:
            raise ValueError(f"unknown kind of mesh: {mesh_type}")
        raw = [self._raw(policy) for policy in raw_policies or ()]
        unique = {self._name(policy): policy for policy in policies}
        if not (raw or unique):
            self.delete(ignore_missing)
            return []
        existing = self._existing()
        results = [self._allow(name, policy, existing, force) for name, policy in unique.items()]
        kept = {result for result in results if not isinstance(result, Refusal)}
        # After the others: a raw policy may allow nothing, to close what they do not open.
        kept |= {self._apply(resource, existing, force) for resource in raw}
        self._delete(existing.keys() - kept, ignore_missing)
        return [result for result in results if isinstance(result, Refusal)]

    def delete(self, ignore_missing: bool = True) -> None:
        """Delete all policies of this manager.

        Args:
            ignore_missing: let pass what is already gone, and a cluster that knows no such
                resource.

        Raises:
            IstioNotInstalledError: the cluster has no AuthorizationPolicies, and nothing may miss.
            lightkube.ApiError: Kubernetes refused or failed; see ``kubernetes_errors``.
        """
        try:
            existing = self._existing()
        except IstioNotInstalledError:
            if not ignore_missing:
                raise
        else:
            self._delete(existing.keys(), ignore_missing)

    def _raw(self, policy: Any) -> _Manifest:
        """Return a charm's own policy with the marks of this manager."""
        if not isinstance(policy, authorization_policy_resource()):
            found = type(policy).__name__
            raise TypeError(f"a raw policy is a {found}, but must be an AuthorizationPolicy")
        return self._marked(cast("Any", policy).to_dict())

    def _marked(self, manifest: _Manifest) -> _Manifest:
        metadata: dict[str, Any] = {"namespace": self._model, **manifest["metadata"]}
        metadata["labels"] = {**metadata.get("labels", {}), **self._labels}
        kind = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy"}
        return {**kind, "metadata": metadata, "spec": manifest.get("spec", {})}

    def _existing(self) -> dict[_Key, _Manifest]:
        resource = authorization_policy_resource()
        try:
            found = list(self._client.list(resource, namespace="*", labels=dict(self._labels)))
        except kubernetes_errors() as error:
            if _code(error) == 404:
                raise IstioNotInstalledError from error
            raise
        return {_key(manifest): manifest for manifest in (policy.to_dict() for policy in found)}

    def _allow(
        self, name: str, policy: MeshPolicy, existing: Mapping[_Key, _Manifest], force: bool
    ) -> _Key | Refusal:
        """Apply one policy, and keep what is wrong with it from stopping the others."""
        if reason := _unrenderable(policy):
            return self._refuse(policy, reason)
        try:
            return self._apply(self._render(name, policy), existing, force)
        except kubernetes_errors() as error:
            if _code(error) not in _ABOUT_ONE_POLICY:
                raise
            return self._refuse(policy, str(error))

    def _refuse(self, policy: MeshPolicy, reason: str) -> Refusal:
        target = policy.target_app_name or policy.target_service or "selected pods"
        self._log.warning("Refused a policy for %s: %s", target, reason)
        return Refusal(target, json.dumps(policy.model_dump(mode="json")), reason)

    def _apply(self, manifest: _Manifest, existing: Mapping[_Key, _Manifest], force: bool) -> _Key:
        key = _key(manifest)
        if not _is_as_wanted(existing.get(key), manifest):
            policy: Any = authorization_policy_resource()
            self._client.apply(policy.from_dict(manifest), field_manager=self._app, force=force)
        return key

    def _delete(self, keys: Iterable[_Key], ignore_missing: bool) -> None:
        resource = authorization_policy_resource()
        for namespace, name in sorted(keys):
            with _missing_is_fine() if ignore_missing else contextlib.nullcontext():
                self._client.delete(resource, name, namespace=namespace)

    def _render(self, name: str, policy: MeshPolicy) -> _Manifest:
        metadata = {"name": name, "namespace": policy.target_namespace}
        return self._marked({"metadata": metadata, "spec": _spec(policy)})

    def _name(self, policy: MeshPolicy) -> str:
        """Return a legal name that is the same for the same policy, and for no other."""
        target = policy.target_app_name or policy.target_service or "custom-selector"
        source = (policy.source_app_name, policy.source_namespace)
        readable = "-".join((self._app, self._model, "policy", *source, target)).lower()
        legal = re.sub(r"[^a-z0-9-]", "-", readable)
        return f"{legal[:_NAME_LENGTH]}-{_digest(policy)}"


def _key(manifest: _Manifest) -> _Key:
    return manifest["metadata"]["namespace"], manifest["metadata"]["name"]


def _is_as_wanted(existing: _Manifest | None, wanted: _Manifest) -> bool:
    """Tell whether there is nothing to apply; what others added to the labels is theirs."""
    if existing is None:
        return False
    labels = existing["metadata"].get("labels", {})
    return existing.get("spec", {}) == wanted["spec"] and (
        wanted["metadata"]["labels"].items() <= labels.items()
    )


def _digest(policy: MeshPolicy) -> str:
    """Return a hash that does not depend on the order of anything that has none."""
    endpoints = [
        [sorted(given or ()) for given in (each.hosts, each.ports, each.methods, each.paths)]
        for each in policy.endpoints
    ]
    source = (policy.source_namespace, policy.source_app_name)
    target = (policy.target_namespace, policy.target_app_name, policy.target_service)
    selector = sorted((policy.target_selector_labels or {}).items())
    content = (source, target, selector, policy.target_type.value, sorted(endpoints))
    return hashlib.sha256(repr(content).encode()).hexdigest()[:8]


def _unrenderable(policy: MeshPolicy) -> str | None:
    """Return why Istio has no such policy, or should have none, if so."""
    if policy.target_type is PolicyTargetType.app:
        return None
    if any(each.hosts or each.methods or each.paths for each in policy.endpoints):
        return "a policy for units is decided at L4, where there are no hosts, methods or paths"
    return _boundless(policy)


def _spec(policy: MeshPolicy) -> dict[str, Any]:
    principal = f"cluster.local/ns/{policy.source_namespace}/sa/{policy.source_app_name}"
    rule: dict[str, Any] = {"from": [{"source": {"principals": [principal]}}]}
    operations = [_operation(endpoint) for endpoint in policy.endpoints]
    if operations and all(operations):  # one that is empty allows all, whatever the others say
        rule["to"] = [{"operation": operation} for operation in operations]
    return {**_target(policy), "rules": [rule]}


def _target(policy: MeshPolicy) -> dict[str, Any]:
    if policy.target_type is PolicyTargetType.app:
        name = policy.target_service or policy.target_app_name
        return {"targetRefs": [{"group": "", "kind": "Service", "name": name}]}
    labels = policy.target_selector_labels or {_NAME_LABEL: policy.target_app_name}
    return {"selector": {"matchLabels": labels}}


def _operation(endpoint: Endpoint) -> dict[str, list[str]]:
    given = {
        "hosts": endpoint.hosts,
        "ports": [str(port) for port in endpoint.ports or ()],
        "methods": [method.value for method in endpoint.methods or ()],
        "paths": endpoint.paths,
    }
    return {key: values for key, values in given.items() if values}
