"""Join a service mesh from a charm, or provide one.

This is an independent implementation of the ``service_mesh`` and ``cross_model_mesh`` interfaces. A
charm that was written for the published library of this name runs on it unchanged, and it exchanges
relation data with charms that carry any published version.

A service mesh denies the calls that no policy allows. The policies follow from Juju's relations: an
application that is related to a charm over an endpoint may make the calls that the charm's policy
for that endpoint lists.

Consumer
========

A charm that joins a mesh declares a policy per endpoint, and this library does the rest::

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

with these endpoints in ``charmcraft.yaml``, of which ``data`` and ``metrics`` are the charm's own::

    requires:
      service-mesh: {interface: service_mesh, limit: 1}
      require-cmr-mesh: {interface: cross_model_mesh}
    provides:
      provide-cmr-mesh: {interface: cross_model_mesh}
      data: {interface: http_data}
      metrics: {interface: prometheus_scrape}

App or unit
-----------

An ``AppPolicy`` allows calls to the application's Service, at L7: it can name ports, methods, paths
and hosts. A ``UnitPolicy`` allows connections to the address of each unit, at L4: it can name
ports. A caller that does both needs both policies.

Status
------

Joining puts labels on the application's pods and Service, for which the application needs
``juju trust <app> --scope=cluster``. ``status()`` returns Active when that is done, Waiting for the
mesh or for Kubernetes, or Blocked with the command that helps.

Cross-model
-----------

Juju does not tell a charm which application is behind a cross-model relation. The remote
application tells it over a second relation: offer ``provide-cmr-mesh`` *together with* the endpoint
that has the policy, and integrate the caller's ``require-cmr-mesh`` with that offer. Until then the
mesh denies the caller, ``status()`` says so, and ``waiting_for_identity()`` returns the relation.

A caller cannot claim to be from another model, because this library compares the model that the
caller names with the UUID that Juju vouches for. ``refused_identities()`` returns the false claims.

Joining by hand
---------------

A charm whose workload runs in pods of its own making labels them itself::

    class OperatorCharm(ops.CharmBase):
        def __init__(self, framework: ops.Framework):
            super().__init__(framework)
            self.mesh = ServiceMeshConsumer(self, auto_join=False)

        def pod_labels(self) -> dict[str, str]:
            return {"app": "worker", **self.mesh.labels()}

Provider
========

A charm that provides a mesh publishes the labels by which a pod joins, and applies the policies
that the related applications request::

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
import enum
import functools
import hashlib
import json
import logging
import re
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import ops
import pydantic

if TYPE_CHECKING:
    # Every hook pays for its imports, so functions that call Kubernetes import lightkube.
    from lightkube import Client
    from lightkube.core.resource import NamespacedResource
    from lightkube.generic_resource import GenericNamespacedResource

LIBID = "3f40cb7e3569454a92ac2541c5ca0a0c"
LIBAPI = 0
# The published library is at 20. With a higher number, `charmcraft fetch-lib` keeps this file.
LIBPATCH = 100
PYDEPS = ["lightkube>=0.15", "pydantic>=2"]

logger = logging.getLogger(__name__)

label_configmap_name_template = "juju-service-mesh-{app_name}-labels"

# Type checkers know only some of lightkube's types, so this module reads its answers as JSON.
_AnyClient = Any


# --- Data ---------------------------------------------------------------------------------------

# The syntax of a label's value, which is also enough for the names that Juju allows. A name becomes
# part of a principal (cluster.local/ns/<model>/sa/<app>) and must have no special meaning there.
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_LABEL_PREFIX = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"

# Juju labels every pod with the name of its application.
_NAME_LABEL = "app.kubernetes.io/name"

# The name that Juju gives to a remote application on the side that made the offer.
_REMOTE_ALIAS = r"remote-[0-9a-f]{32}"

# Pydantic's own engine checks these much faster than a function of this module could.
_Name = Annotated[str, pydantic.Field(pattern=f"^{_NAME}$")]
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
    """The target of a policy: the application's Service (L7) or each of its units (L4)."""

    app = "app"
    unit = "unit"


class _Data(pydantic.BaseModel):
    """Base of all data. A hook uses few of these classes: each builds its validator when used."""

    model_config = pydantic.ConfigDict(defer_build=True)


class _Written(_Data):
    """Base of the data that authors write, which is checked more strictly than relation data.

    Pydantic ignores a misspelt field, and an empty list is no restriction. Either would allow more
    calls than the author meant.
    """

    def __init__(self, **data: Any) -> None:
        fields = list(type(self).model_fields)
        if unknown := sorted(data.keys() - fields):
            fault = f"unknown; the fields are {', '.join(fields)}"
            raise self._invalid(unknown[0], data[unknown[0]], fault)
        super().__init__(**data)
        for name in fields:
            if getattr(self, name) == []:
                raise self._invalid(name, data[name], "an empty list would allow everything")

    # With this mark, pydantic does not call __init__ for data that it reads from a relation.
    __init__.__pydantic_base_init__ = True  # pyright: ignore[reportFunctionMemberAccess]

    def _invalid(self, field: str, value: Any, fault: str) -> pydantic.ValidationError:
        from pydantic_core import InitErrorDetails, PydanticCustomError

        error = PydanticCustomError("written", cast("Any", fault))
        details = InitErrorDetails(type=error, loc=(field,), input=value)
        return pydantic.ValidationError.from_exception_data(type(self).__name__, [details])


class Endpoint(_Written):
    """Requests that a policy allows. A field that is not given allows every value.

    Args:
        hosts: values of the Host header, as Istio matches them: with their port, and with ``*`` at
            one end.
        ports: TCP ports, 1 to 65535.
        methods: HTTP methods.
        paths: paths as Istio matches them: exact, or a prefix or suffix with ``*``.

    Raises:
        pydantic.ValidationError: names the field that is unknown, empty or malformed.
    """

    hosts: list[str] | None = None
    ports: list[_Port] | None = None
    methods: list[Method] | None = None
    paths: list[str] | None = None

    def __init__(self, **data: Any) -> None:
        super().__init__(**data)
        for path in self.paths or ():
            if not path.startswith(("/", "*", "{")):
                raise self._invalid("paths", path, "a path begins with / or * or {")

    __init__.__pydantic_base_init__ = True  # pyright: ignore[reportFunctionMemberAccess]


class AppPolicy(_Written):
    """Allow related applications to call endpoints of the application's Service (L7).

    Args:
        relation: the name of the charm's endpoint.
        endpoints: the requests that are allowed, at least one; ``Endpoint()`` allows all.
        service: the name of the Service, if it is not the application's own.

    Raises:
        pydantic.ValidationError: names the field that is unknown, empty or malformed.
    """

    model_config = pydantic.ConfigDict(extra="forbid")

    relation: str
    endpoints: list[Endpoint]
    service: str | None = None

    @pydantic.field_validator("endpoints", mode="before")
    @classmethod
    def _written(cls, endpoints: Any) -> Any:
        """Check endpoints that are given as dictionaries as strictly as the others."""
        if not isinstance(endpoints, (list, tuple)):
            return endpoints
        given = cast("Sequence[Any]", endpoints)
        return [Endpoint(**each) if isinstance(each, dict) else each for each in given]


class UnitPolicy(_Written):
    """Allow related applications to reach every unit directly (L4).

    Args:
        relation: the name of the charm's endpoint.
        ports: TCP ports of the units, 1 to 65535; without ``ports``, all are allowed.

    Raises:
        pydantic.ValidationError: names the field that is unknown, empty or malformed.
    """

    model_config = pydantic.ConfigDict(extra="forbid")

    relation: str
    ports: list[_Port] | None = None


class Policy(AppPolicy):
    """The name of AppPolicy in version 0.2; use AppPolicy."""

    def __init__(self, **data: Any) -> None:
        warnings.warn("Policy is deprecated: use AppPolicy", DeprecationWarning, stacklevel=2)
        super().__init__(**data)


class MeshPolicy(_Data):
    """A policy as relation data: the source may call these endpoints of the target.

    A target of type ``app`` is a Service: the one that ``target_service`` names, or the Service of
    ``target_app_name``. A target of type ``unit`` is a set of pods: those of ``target_app_name``,
    or those with ``target_selector_labels``.

    Raises:
        pydantic.ValidationError: a name or label is malformed, or the target does not fit its type.
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
        if self.target_app_name and not (self.target_service or self.target_selector_labels):
            return self  # most policies name an application alone, which fits either type
        is_unit = self.target_type is PolicyTargetType.unit
        if fault := self._fault_of_unit() if is_unit else self._fault_of_app():
            raise ValueError(fault)
        return self

    def _fault_of_app(self) -> str | None:
        if self.target_selector_labels:
            return "an app target does not support target_selector_labels"
        if not (self.target_app_name or self.target_service):
            return "an app target needs target_app_name or target_service"
        return None

    def _fault_of_unit(self) -> str | None:
        if self.target_service:
            return "a unit target does not support target_service"
        selector = self.target_selector_labels or {}
        if self.target_app_name and selector:
            return "a unit target cannot have both target_app_name and target_selector_labels"
        illegal = (f"{key}={value}" for key, value in selector.items() if not _is_label(key, value))
        return next((f"{each!r} is not a label of Kubernetes" for each in illegal), None)


def _is_label(key: str, value: str) -> bool:
    """Return whether Kubernetes accepts a label."""
    prefix, slash, name = key.rpartition("/")
    legal_prefix = not slash or (len(prefix) <= 253 and re.fullmatch(_LABEL_PREFIX, prefix))
    return bool(
        legal_prefix and re.fullmatch(_NAME, name) and (not value or re.fullmatch(_NAME, value))
    )


class CMRData(_Data):
    """The identity of an application in another model, as that application publishes it."""

    app_name: _Name
    juju_model_name: _Name


class ServiceMeshProviderAppData(_Data):
    """The relation data of a provider; ``mesh_type`` is None if it published no known one."""

    labels: dict[str, str]
    mesh_type: MeshType | None = None


class Refusal(NamedTuple):
    """A policy or an identity that was not accepted.

    Args:
        app: the application that published it, by its name in this model.
        entry: the published JSON; the whole value if it could not be read.
        reason: a sentence.
        policy: the policy, if it is well-formed.
    """

    app: str
    entry: str
    reason: str
    policy: MeshPolicy | None = None


class Review(NamedTuple):
    """The policies that a provider accepts, and those that it refuses."""

    accepted: list[MeshPolicy]
    refused: list[Refusal]


def _reason(error: Exception) -> str:
    """Return the first fault of some data, without the text that pydantic adds.

    Keys from another charm are escaped, because a line of the log is an argument of a hook tool,
    which cannot contain NUL.
    """
    if not isinstance(error, pydantic.ValidationError):
        return f"not JSON: {error}"
    first = error.errors()[0]
    field = ".".join(str(part).encode("unicode_escape").decode() for part in first["loc"])
    fault = first["msg"].removeprefix("Value error, ")
    if first["type"] == "string_pattern_mismatch":
        fault = f"{first['input']!r} is not a name of an application, a model or a Service"
    return f"{field}: {fault}" if field else fault


def _publish(relation: ops.Relation, app: ops.Application, values: Mapping[str, str]) -> bool:
    """Write the values that differ, as leader. Return whether Juju accepted them."""
    try:
        bag = relation.data[app]
        if changed := {key: value for key, value in values.items() if bag.get(key) != value}:
            bag.update(changed)
    except (ops.RelationDataAccessError, ops.ModelError) as error:
        # Juju may refuse the databag of a relation or an application that it is removing.
        logger.warning("Cannot publish over %s: %s", relation, error)
        return False
    return True


# --- Policies -----------------------------------------------------------------------------------


def build_mesh_policies(
    relation_mapping: Mapping[str, list[ops.Relation]],
    target_app_name: str,
    target_namespace: str,
    policies: Iterable[Policy | AppPolicy | UnitPolicy],
    cmr_application_data: Mapping[str, CMRData] | None = None,
) -> list[MeshPolicy]:
    """Return the mesh policies for the applications that are related now, without duplicates.

    They are in the order of ``policies`` and, within one policy, of relation ids. A remote
    application behind an alias is left out until its identity is known.

    Args:
        relation_mapping: the relations by endpoint, such as ``charm.model.relations``.
        target_app_name: the application that the policies open, such as ``charm.app.name``.
        target_namespace: its Kubernetes namespace, which is the model's name.
        policies: the policies of the charm.
        cmr_application_data: identities by local name, as from ``get_data_from_cmr_relation``.
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
    if re.fullmatch(_REMOTE_ALIAS, app):
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
    """Return the identities that remote applications claim, by the application's local name.

    A malformed identity is logged and left out. The others are claims: ``ServiceMeshConsumer``
    verifies each before it publishes a policy for it.

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


# --- Consumer -----------------------------------------------------------------------------------

# The parts that a leader reconciles: the identity and the policies in relation data, and the labels
# of pods and Service.
_IDENTITY, _POLICIES, _LABELS = _PARTS = ("identity", "policies", "labels")


class ServiceMeshConsumer(ops.Object):
    """Joins the charm's application to the related mesh, and publishes its policies.

    Every hook-tool call is a process. So an event reconciles only the parts that it can have
    changed, and those that are pending. Only the leader writes.

    Args:
        charm: the charm.
        mesh_relation_name: its ``service_mesh`` endpoint (requires).
        cross_model_mesh_requires_name: its ``cross_model_mesh`` endpoint (requires), over which the
            application publishes its identity.
        cross_model_mesh_provides_name: its ``cross_model_mesh`` endpoint (provides), over which
            remote applications publish theirs.
        policies: the calls to this application that are allowed.
        auto_join: whether to label the application's pods and Service. If a later revision turns it
            off, the labels are removed.

    Raises:
        ValueError: ``charmcraft.yaml`` does not declare one of the endpoints.
    """

    # The state of one pod. A new pod starts without it, and upgrade-charm is among its first hooks.
    #
    # - pending: the parts that this unit, as leader, has still to reconcile. At first that is all
    #   of them, then those that failed.
    # - labelled: whether pods and Service may carry the labels of a mesh. If they do not, leaving
    #   makes no call to Kubernetes.
    # - in_doubt: whether the last pod may have labelled them, which the ledger tells. A leader that
    #   leaves looks for it, as long as it is in doubt.
    # - last_status: name and message of the status after the last attempt to label, for the events
    #   that make no attempt.
    # - unidentified: the part of the status about remote applications, likewise.
    # - models, verdicts: answers of Juju and Kubernetes about remote models, which never change.
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
        self._lightkube_client: Client | None = None
        self._memory.set_default(pending=list(_PARTS), labelled=False, in_doubt=False)
        self._memory.set_default(last_status=None, unidentified="", models={}, verdicts={})
        self._remote = _Identities(
            charm, cross_model_mesh_provides_name, self._memory, lambda: self.lightkube_client
        )
        self._check_endpoints()
        self._parts_by_event = self._table()
        for kind in self._parts_by_event:
            self.framework.observe(getattr(charm.on, kind), self._on_event)
        self.framework.observe(self.framework.on.commit, self._on_commit)

    def _check_endpoints(self) -> None:
        """Raise ValueError for an endpoint that is not declared, such as a misspelt one."""
        mesh = (self._mesh_relation_name, self._requires_name, self._provides_name)
        declared = self._charm.meta.relations
        for name in (*mesh, *self._policy_endpoints()):
            if name not in declared:
                raise ValueError(
                    f"the mesh or a policy names the endpoint {name!r}, "
                    f"and charmcraft.yaml has only {', '.join(sorted(declared))}"
                )

    def _table(self) -> dict[str, set[str]]:
        """Return the parts that an event can have changed, by the kind of the event.

        An event without parts only reconciles those that are pending.
        """
        on = self._charm.on
        mesh, requires, provides = (
            on[name]
            for name in (self._mesh_relation_name, self._requires_name, self._provides_name)
        )
        policed = [on[name] for name in self._policy_endpoints()]
        rows: list[tuple[Iterable[str], list[ops.BoundEvent]]] = [
            (_PARTS, [on.leader_elected, on.upgrade_charm, on.config_changed, on.update_status]),
            ([_POLICIES, _LABELS], [mesh.relation_created, mesh.relation_broken]),
            ([_LABELS], [mesh.relation_changed]),
            ([_IDENTITY], [requires.relation_created]),
            ([_POLICIES], [provides.relation_changed, provides.relation_broken]),
            ([_POLICIES], [each.relation_created for each in policed]),
            ([_POLICIES], [each.relation_broken for each in policed]),
            ([], [each.relation_changed for each in policed]),
            ([], [requires.relation_changed, requires.relation_departed, requires.relation_broken]),
            ([], [provides.relation_created, provides.relation_departed]),
        ]
        table: defaultdict[str, set[str]] = defaultdict(set)
        for parts, events in rows:
            for event in events:
                table[event.event_kind].update(parts)
        return dict(table)

    def _on_event(self, event: ops.EventBase) -> None:
        broken = isinstance(event, ops.RelationBrokenEvent)
        left_mesh = broken and event.relation.name == self._mesh_relation_name
        if left_mesh or isinstance(event, ops.UpgradeCharmEvent):
            self._memory.in_doubt = not self._memory.labelled
        if not self._charm.unit.is_leader():
            self._follow()
        elif broken and is_leaving(self._charm):
            self._leave_to_others()
        else:
            self._reconcile(self._changed_parts(event))

    def _changed_parts(self, event: ops.EventBase) -> set[str]:
        """Return the parts that an event can have changed."""
        if isinstance(event, ops.RelationChangedEvent) and _is_alias(event.relation):
            # The first unit of a remote application brings the address that identifies it.
            return {_POLICIES, *self._parts_by_event[event.handle.kind]}
        return self._parts_by_event[event.handle.kind]

    def _follow(self) -> None:
        """Prepare for an election: everything is pending, and the leader may have set labels."""
        self._memory.pending = list(_PARTS)
        self._memory.last_status = None
        self._memory.unidentified = ""
        if self._auto_join and not self._memory.labelled and self.labels():
            self._memory.labelled = True

    def _leave_to_others(self) -> None:
        """Leave labels and policies to the other units, as Juju removes this one.

        If Juju removes the application, its pods keep their labels: taking them off would restart
        the pods, and Juju 4 does not take back a pod of an application that it is removing.
        """
        if self._memory.labelled and self._charm.app.planned_units() == 0:
            self._ask_kubernetes(lambda: self._ledger().write({}))
            self._memory.labelled = False

    def _reconcile(self, parts: Set[str]) -> None:
        """Make relation data and labels match the relations as they are now.

        Args:
            parts: the parts to reconcile, beside those that are pending.
        """
        actions = {
            _IDENTITY: self._publish_identity,
            _POLICIES: self._publish_policies,
            _LABELS: self._reconcile_labels,
        }
        todo = {*parts, *self._memory.pending}
        self._memory.pending = [
            part for part, action in actions.items() if part in todo and not action()
        ]

    def _on_commit(self, _: ops.EventBase) -> None:
        """Close the connection to Kubernetes, if lightkube can, when all handlers have run."""
        close: Callable[[], None] | None = getattr(self._lightkube_client, "close", None)
        if close:
            close()

    def update_service_mesh(self) -> None:
        """Publish the application's identity and its policies, if this unit is the leader.

        The library does this by itself. A charm calls it only if its policies depend on something
        other than relations and configuration.
        """
        if self._charm.unit.is_leader():
            self._reconcile({_IDENTITY, _POLICIES})

    def _publish_identity(self) -> bool:
        """Publish the application's identity. Return whether Juju accepted it."""
        relations = self._charm.model.relations[self._requires_name]
        if not relations:
            return True
        identity = CMRData(app_name=self._charm.app.name, juju_model_name=self._charm.model.name)
        data = {"cmr_data": json.dumps(identity.model_dump())}
        published = [_publish(relation, self._charm.app, data) for relation in relations]
        return all(published)

    def _publish_policies(self) -> bool:
        """Publish the policies. Return whether that was possible for all relations."""
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

    def _meshes(self) -> list[ops.Relation]:
        relations = self._charm.model.relations[self._mesh_relation_name]
        return sorted(relations, key=lambda relation: relation.id)

    @property
    def _relation(self) -> ops.Relation | None:
        """The relation to the mesh; the oldest one, should there be several."""
        return next(iter(self._meshes()), None)

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
        """Return the kind of mesh; None without a mesh, or if the mesh did not publish it."""
        provided = self._provided()
        return provided.mesh_type if provided else None

    def status(self) -> ops.StatusBase:
        """Return whether the application is on the mesh and, if not, the reason.

        Add it in ``collect_unit_status``, in any event:

        - Active: the application is on the mesh, or not related to one; the message tells the
          latter. It also names each label that was not set, such as one that somebody else set, and
          the cross-model relations whose callers are denied because they are not identified.
        - Blocked: Kubernetes refuses; the message has verb and object, and the command that helps.
          Or the application is related to several meshes.
        - Waiting: the mesh has not published its labels, or Kubernetes failed. The library tries
          again in later events.

        The relations are read now. The rest is from the last event in which this unit, as leader,
        reconciled; other units do not know it.
        """
        if len(self._meshes()) > 1:
            first, second, *_ = (relation.app.name for relation in self._meshes())
            command = f"juju remove-relation {self._charm.app.name} {second}"
            return ops.BlockedStatus(f"on the mesh of {first}, which excludes others: `{command}`")
        status = self._label_status()
        if isinstance(status, ops.ActiveStatus):
            messages = filter(None, (status.message, self._memory.unidentified))
            return ops.ActiveStatus("; ".join(messages))
        return status

    def _label_status(self) -> ops.StatusBase:
        """Return whether the application's pods have the labels of the mesh."""
        if self._memory.last_status:
            return ops.StatusBase.from_name(*self._memory.last_status)
        if self._relation is None:
            return ops.ActiveStatus("not on a service mesh")
        if self._provided() is None:
            return ops.WaitingStatus(f"waiting for {self._relation.app.name} to publish its labels")
        if not self._auto_join:
            return ops.ActiveStatus("mesh labels are left to the charm")
        return ops.ActiveStatus()

    def _reconcile_labels(self) -> bool:
        """Set the labels of the mesh, or remove them. Return whether nothing is left to do."""
        self._memory.last_status = None
        if self._relation is None or not self._auto_join:
            self._look_for_labels()
            return not self._memory.labelled or self._ask_kubernetes(self._leave)
        provided = self._provided()
        return provided is None or self._ask_kubernetes(lambda: self._join(provided.labels))

    def _look_for_labels(self) -> None:
        """Find out from the ledger whether the last pod set labels, if that is in doubt."""
        if not self._memory.in_doubt:
            return
        try:
            self._memory.labelled = self._ledger().exists
        except kubernetes_errors() as error:
            if _is_no_access(error):
                # Most likely the application never had any. Status does not ask for it.
                return
            self._memory.labelled = True
        self._memory.in_doubt = False

    def _join(self, labels: dict[str, str]) -> None:
        not_set = self._set_labels(labels)
        self._memory.labelled, self._memory.in_doubt = True, False
        if not_set:
            self._remember(ops.ActiveStatus("; ".join(not_set.values())))

    def _leave(self) -> None:
        self._set_labels({})
        self._memory.labelled = False

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
        """Return whether an action succeeded. If Kubernetes failed, remember the status."""
        try:
            action()
        except kubernetes_errors() as error:
            status = kubernetes_status(error, self._charm.app.name)
            logger.warning("%s (%s)", status.message, error)
            self._remember(status)
            # Unless Kubernetes refused, the action may have set labels before it failed.
            self._memory.labelled |= not isinstance(status, ops.BlockedStatus)
            return False
        return True

    def _remember(self, status: ops.StatusBase) -> None:
        self._memory.last_status = [status.name, status.message]

    def _update_labels(self, _: ops.EventBase | None = None) -> None:
        """Set the labels of the mesh now; see the last section of this module."""
        if self._charm.unit.is_leader():
            self._reconcile({_LABELS})

    @property
    def lightkube_client(self) -> Client:
        """The Kubernetes client that this library uses."""
        if self._lightkube_client is None:
            self._lightkube_client = self._new_client()
        return self._lightkube_client

    def _new_client(self) -> Client:
        _quieten_http()
        return sys.modules[__name__].Client(
            namespace=self._charm.model.name, field_manager=self._charm.app.name, timeout=_TIMEOUT
        )


def is_leaving(charm: ops.CharmBase) -> bool:
    """Return whether Juju is removing this unit, alone or with its application.

    Such a unit runs relation-broken for each of its relations, though the relations go on for the
    units that stay. On Kubernetes, Juju removes units from the highest number down. The answer
    costs a hook-tool process.
    """
    return int(charm.unit.name.rpartition("/")[2]) >= charm.app.planned_units()


_MESH_TYPES = {json.dumps(mesh_type): mesh_type for mesh_type in MeshType}


def _provider_data(relation: ops.Relation) -> ServiceMeshProviderAppData | None:
    """Return the relation data of the mesh; None if it has no labels that can be read."""
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


# --- Consumer: cross-model identity -------------------------------------------------------------


class _Identified(NamedTuple):
    """The remote applications behind some relations, as far as they are known.

    Args:
        identities: by the name under which Juju shows the remote application here.
        waiting: the relations whose remote application is not identified, by id.
        refused: the identities that name another model than the remote application's own.
        obstacle: the reason why an identity could not be checked; empty if all were.
    """

    identities: dict[str, CMRData]
    waiting: list[ops.Relation]
    refused: list[Refusal]
    obstacle: str

    def message(self, endpoint: str) -> str:
        """Return the text for a unit's status; empty if every remote application is identified.

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
        memory: the answers of Juju and Kubernetes, which never change. ``models`` has the UUID of
            a related application's model by the application's local name, or None if Juju cannot
            tell it; ``verdicts`` has whether a UUID and a claimed name belong together.
        client: returns a Kubernetes client.
    """

    def __init__(
        self, charm: ops.CharmBase, endpoint: str, memory: Any, client: Callable[[], _AnyClient]
    ) -> None:
        self._charm = charm
        self._endpoint = endpoint
        self._memory = memory
        self._client = client

    def identify(self, relations: Sequence[ops.Relation]) -> _Identified:
        """Return the remote applications behind these relations.

        Other relations are read only if one of these may be cross-model.
        """
        remote = [each for each in relations if self._is_remote(each) is not False]
        introductions = self._charm.model.relations[self._endpoint] if remote else []
        self._forget_all_but([*relations, *introductions])
        claims, refused, obstacle = self._checked_claims(introductions)
        found = {each: self._identity(each, claims) for each in remote}
        waiting = [each for each in remote if self._is_remote(each) and not found[each]]
        return _Identified(
            identities={each.app.name: identity for each, identity in found.items() if identity},
            waiting=sorted(waiting, key=lambda relation: relation.id),
            refused=refused,
            obstacle=obstacle,
        )

    def _forget_all_but(self, relations: Iterable[ops.Relation]) -> None:
        """Forget removed applications: a new one of the same name may be in another model."""
        names = {relation.app.name for relation in relations}
        for name in self._memory.models.keys() - names:
            del self._memory.models[name]

    def _checked_claims(
        self, introductions: Sequence[ops.Relation]
    ) -> tuple[dict[ops.Relation, CMRData], list[Refusal], str]:
        """Return the claims that count by identity relation, those refused, and an obstacle."""
        claims = get_data_from_cmr_relation(introductions)
        checked: dict[ops.Relation, CMRData] = {}
        refused: list[Refusal] = []
        obstacle = ""
        for relation in (each for each in introductions if each.app.name in claims):
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
        if not (claims and _is_alias(relation)):
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

        Juju is asked only if the name of the application does not tell it. The name of a remote
        application that was consumed in this model looks like that of a neighbour.
        """
        if _is_alias(relation):
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
        """Return the UUID of the other application's model. Each question costs a process."""
        models, name = self._memory.models, relation.app.name
        if name not in models:
            try:
                models[name] = relation.remote_model.uuid
            except (AttributeError, ops.ModelError):  # ops before 2.20, Juju before 3.6.2
                models[name] = None
        return models[name]


def _is_alias(relation: ops.Relation) -> bool:
    """Return whether Juju shows the other application under an alias, as the offering side."""
    return bool(re.fullmatch(_REMOTE_ALIAS, relation.app.name))


def _namespaces_of(client: _AnyClient, uuid: str) -> set[str]:
    """Return the namespaces that Juju labels with a model's UUID.

    Every application may list namespaces, also one that is not trusted.
    """
    from lightkube.resources.core_v1 import Namespace

    found = client.list(Namespace, labels={"model.juju.is/id": uuid})
    return {namespace.metadata.name for namespace in found}


# --- Provider -----------------------------------------------------------------------------------

# The most refusals that are logged per application. A line of the log is a hook-tool process, and
# malformed relation data can hold any number of faults.
_MOST_LOGGED = 10


class ServiceMeshProvider(ops.Object):
    """Offers a mesh to related applications, and collects the policies that they request.

    Args:
        charm: the charm.
        labels: the labels by which a pod joins the mesh. One that Kubernetes would refuse is logged
            and not published.
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
        legal = {key: value for key, value in labels.items() if _is_label(key, value)}
        for key in labels.keys() - legal.keys():
            logger.error("Not published: %s=%s is not a label of Kubernetes", key, labels[key])
        self._data = {"labels": json.dumps(legal), "mesh_type": json.dumps(mesh_type)}
        self._relation_name = mesh_relation_name
        self._logged: defaultdict[str, set[str]] = defaultdict(set)
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
        """Return every well-formed policy that was requested, relation by relation.

        It does not check whether the target belongs to the application that requested the policy;
        ``review`` does.
        """
        return [
            each
            for _, requested in self._requested()
            for each in requested
            if isinstance(each, MeshPolicy)
        ]

    def review(self) -> Review:
        """Return the policies to apply, and those refused with their application and reason.

        This refuses malformed policies, and those whose target does not belong to the sender:

        - Another application or namespace, or a Service whose name says that it belongs to another
          application on this mesh: it is that application's name, alone or before a dash. A Service
          of an application that is not on this mesh is accepted, as nothing here shows its owner.
        - Pods selected without the sender's own ``app.kubernetes.io/name``.
        - A unit target with neither application nor selector, which would open a whole namespace.

        A sender in another model is known here by an alias, which does not show the applications
        and Services that belong to it. Its policies are refused: relate it to a mesh in its model.
        """
        apps = {relation.app.name for relation in self._relations()}
        reviewed = [
            self._reviewed(app, each, apps)
            for app, requested in self._requested()
            for each in requested
        ]
        return Review(
            accepted=[entry for entry in reviewed if isinstance(entry, MeshPolicy)],
            refused=[entry for entry in reviewed if isinstance(entry, Refusal)],
        )

    def _relations(self) -> list[ops.Relation]:
        return self._charm.model.relations[self._relation_name]

    def _requested(self) -> Iterable[tuple[str, Sequence[MeshPolicy | Refusal]]]:
        """Return each sender with its policies, well-formed or refused."""
        for relation in self._relations():
            text = relation.data[relation.app].get("policies", "[]")
            try:
                yield relation.app.name, self._policy_list.validate_json(text)
            except pydantic.ValidationError:
                yield relation.app.name, self._read_one_by_one(relation.app.name, text)

    @functools.cached_property
    def _policy_list(self) -> pydantic.TypeAdapter[list[MeshPolicy]]:
        return pydantic.TypeAdapter(list[MeshPolicy])

    def _read_one_by_one(self, app: str, text: str) -> list[MeshPolicy | Refusal]:
        """Return the policies of a bag in which some are malformed, which takes longer."""
        try:
            return [self._read(app, entry) for entry in _json_list(text)]
        except (ValueError, RecursionError) as error:
            return [self._refuse(Refusal(app, text, _reason(error)))]

    def _read(self, app: str, entry: object) -> MeshPolicy | Refusal:
        try:
            return MeshPolicy.model_validate(entry)
        except pydantic.ValidationError as error:
            return self._refuse(Refusal(app, json.dumps(entry), _reason(error)))

    def _reviewed(
        self, app: str, entry: MeshPolicy | Refusal, apps: Set[str]
    ) -> MeshPolicy | Refusal:
        if isinstance(entry, MeshPolicy) and (reason := self._overreach(app, entry, apps)):
            return self._refuse(_refusal(app, entry, reason))
        return entry

    def _overreach(self, app: str, policy: MeshPolicy, apps: Set[str]) -> str | None:
        """Return why the sender may not request a policy; None if it may.

        Args:
            app: the sender.
            policy: the requested policy.
            apps: the applications on this mesh.
        """
        if reason := _boundless(policy):
            return reason
        if re.fullmatch(_REMOTE_ALIAS, app):
            return "the sender is in another model: relate it to a mesh there"
        if policy.target_namespace != self._charm.model.name:
            return f"its target is in {policy.target_namespace}, not in the sender's model"
        return _foreign_target(app, policy, apps)

    def _refuse(self, refusal: Refusal) -> Refusal:
        """Log a refusal the first time."""
        logged = self._logged[refusal.app]
        if refusal.entry not in logged and len(logged) < _MOST_LOGGED:
            logger.warning("Refused a policy of %s: %s", refusal.app, refusal.reason)
            logged.add(refusal.entry)
        return refusal


def _refusal(app: str, policy: MeshPolicy, reason: str) -> Refusal:
    return Refusal(app, json.dumps(policy.model_dump(mode="json")), reason, policy)


def _foreign_target(app: str, policy: MeshPolicy, apps: Set[str]) -> str | None:
    """Return why a target in the sender's model is not the sender's; None if it is."""
    if policy.target_app_name not in (None, app):
        return f"its target is {policy.target_app_name}, not the sender"
    owner = _owner(policy.target_service or app, apps)
    if owner not in (None, app):
        return f"the Service {policy.target_service} belongs to {owner}, not to the sender"
    selector = policy.target_selector_labels
    if selector and selector.get(_NAME_LABEL) != app:
        return f"its selector lacks {_NAME_LABEL}={app}, so it may select pods of others"
    return None


def _owner(service: str, apps: Set[str]) -> str | None:
    """Return the application to which a Service belongs by its name, if any: the longest."""
    words = service.split("-")
    names = ("-".join(words[:count]) for count in range(len(words), 0, -1))
    return next((name for name in names if name in apps), None)


def _boundless(policy: MeshPolicy) -> str | None:
    """Return why a policy is refused that would open a whole namespace; None if it would not."""
    unit = policy.target_type is PolicyTargetType.unit
    if unit and not (policy.target_app_name or policy.target_selector_labels):
        return "a unit target without application or selector opens the whole namespace"
    return None


def _json_list(text: str) -> list[object]:
    value = json.loads(text)
    if not isinstance(value, list):
        raise ValueError("policies are a list")
    return cast("list[object]", value)


# --- Kubernetes ---------------------------------------------------------------------------------

# How long a call may take to connect, to send or to receive, in seconds. Without it, lightkube 0.x
# would wait for ever.
_TIMEOUT = 10.0
_API_PATH = r"/(?:api|apis/[^/]+)/v\w+/(?:namespaces/[^/]+/)?(?P<object>.+)"
_VERBS = {"DELETE": "delete", "PATCH": "patch", "POST": "create", "PUT": "update"}


class IstioNotInstalledError(Exception):
    """The cluster has no AuthorizationPolicies, which come with Istio."""

    def __init__(self) -> None:
        super().__init__("the cluster has no AuthorizationPolicies: install Istio first")


class NothingToLabelError(Exception):
    """The application has no StatefulSet, so no pod can join the mesh."""

    def __init__(self, app_name: str) -> None:
        super().__init__(f"there is no StatefulSet {app_name} to label, will try again")


def kubernetes_errors() -> tuple[type[Exception], ...]:
    """Return the errors that are raised if Kubernetes refuses, fails, is away or lacks an object.

    Use it as ``except kubernetes_errors() as error``, which imports nothing unless something is
    raised. lightkube.ApiError is not enough. A dropped connection is an error of the HTTP client,
    which is httpx for lightkube 0.x and httpx2 for 1.x. An answer that is not JSON, as a proxy may
    give, is an error of that client or of the decoder.
    """
    from lightkube import ApiError
    from lightkube.core.exceptions import ConfigError

    http_errors = _loaded(("httpx", "HTTPError"), ("httpx2", "HTTPError"))
    ours = (IstioNotInstalledError, NothingToLabelError)
    return (ApiError, *http_errors, *_decode_errors(), ConfigError, *ours)


def _decode_errors() -> tuple[type[Exception], ...]:
    """Return the errors for an answer that is not JSON. Newer lightkubes use msgspec."""
    return (json.JSONDecodeError, *_loaded(("msgspec", "DecodeError")))


def _loaded(*names: tuple[str, str]) -> list[type[Exception]]:
    """Return the errors, given as module and name, whose module lightkube has loaded."""
    return [getattr(sys.modules[module], name) for module, name in names if module in sys.modules]


def kubernetes_status(error: Exception, app_name: str) -> ops.StatusBase:
    """Return the status that a unit should have because of an error of ``kubernetes_errors``.

    It is Blocked if somebody has to act: if Kubernetes forbids (403), with the object, the verb and
    the command that helps, or if there is no Istio. Otherwise it is Waiting: a conflict, or a
    server that fails or is away, may be over at the next event.

    Args:
        error: the error.
        app_name: the application to trust.
    """
    if isinstance(error, IstioNotInstalledError):
        return ops.BlockedStatus(str(error))
    if isinstance(error, NothingToLabelError):
        return ops.WaitingStatus(str(error))
    if isinstance(error, _decode_errors()):
        return ops.WaitingStatus("Kubernetes did not answer with JSON, will try again")
    response = getattr(error, "response", None)
    if response is None:
        return ops.WaitingStatus(f"Kubernetes is away ({type(error).__name__}), will try again")
    request = _request_words(response.request.method, response.request.url.path)
    if response.status_code == 403:
        return ops.BlockedStatus(f"may not {request}: run `juju trust {app_name} --scope=cluster`")
    return ops.WaitingStatus(f"could not {request} ({response.status_code}), will try again")


def _request_words(method: str, path: str) -> str:
    """Return verb and object of a request, such as `get statefulsets/producer`."""
    found = re.search(_API_PATH, path)
    target = found["object"] if found else path
    return f"{_VERBS.get(method, 'get' if '/' in target else 'list')} {target}"


def _code(error: Exception) -> int | None:
    """Return the HTTP status of Kubernetes' answer, if there was one."""
    return getattr(getattr(error, "response", None), "status_code", None)


def _is_no_access(error: Exception) -> bool:
    """Return whether Kubernetes forbids a request, or there is no configuration to reach it."""
    from lightkube.core.exceptions import ConfigError

    return _code(error) == 403 or isinstance(error, ConfigError)


def _quieten_http() -> None:
    """Have HTTP clients log only warnings, unless the charm has set a level itself.

    Each line of a charm's log is a hook-tool process, and a request logs a dozen lines.
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
        # A 404 of something between here and Kubernetes says nothing about the object.
        if getattr(getattr(error, "status", None), "reason", None) != "NotFound":
            raise


# --- Labels -------------------------------------------------------------------------------------

# Labels that Juju itself sets and finds its objects by.
_JUJU_LABELS = (_NAME_LABEL, "app.kubernetes.io/managed-by")
_JUJU_PREFIXES = ("app.juju.is/", "model.juju.is/", "controller.juju.is/")

_FIELD_MANAGER = "juju-service-mesh"

# For each label, the values that this library may have set, the newest first.
_Recorded = dict[str, list[str]]


def reconcile_charm_labels(
    client: Client,
    app_name: str,
    namespace: str,
    label_configmap_name: str,
    labels: Mapping[str, str],
) -> dict[str, str]:
    """Set these labels on an application's pods and Service, and remove those set before.

    A ConfigMap, the ledger, records the labels *before* they are set, so that a crash between any
    two calls leaves nothing behind that the next call would not find. Without labels, the ledger is
    deleted too. If there is nothing to change, this makes three reads and no write.

    Some labels are not set: those that Juju uses, those in a selector, those that Kubernetes would
    refuse, and those that somebody else set to another value. Each is logged.

    Args:
        client: a lightkube client.
        app_name: the application; its StatefulSet and Service have the same name.
        namespace: the namespace of both.
        label_configmap_name: see ``label_configmap_name_template``.
        labels: the labels to set. Juju restarts the pods, one by one, when they change.

    Returns:
        By key, the reason why a label was not set.

    Raises:
        NothingToLabelError: there are labels to set, and no StatefulSet.
        lightkube.ApiError: Kubernetes refused or failed; see ``kubernetes_errors``.
    """
    ledger = _Ledger(client, label_configmap_name, namespace)
    if not (ledger.exists or labels):
        return {}
    carriers = _carriers(client, app_name, namespace)
    selected = {key for carrier in carriers for key in carrier.selector}
    refused = _refused_labels(labels, selected)
    wanted = {key: value for key, value in labels.items() if key not in refused}
    recorded = {
        key: values for key, values in ledger.recorded.items() if not _is_jujus(key, selected)
    }
    _change_labels(ledger, carriers, wanted, recorded)
    for carrier in carriers:
        refused |= carrier.taken(wanted, recorded)
    for reason in refused.values():
        logger.warning("Not set: %s", reason)
    if labels and not any(carrier.has_pods for carrier in carriers):
        raise NothingToLabelError(app_name)
    return refused


def _change_labels(
    ledger: _Ledger, carriers: list[_Carrier], wanted: dict[str, str], recorded: _Recorded
) -> None:
    """Record, change, record: in this order, so that a crash leaves nothing unrecorded."""
    target: _Recorded = {
        key: [value]
        for key, value in wanted.items()
        if any(carrier.is_free(key, value, recorded) for carrier in carriers)
    }
    changes = [(carrier, carrier.changes(wanted, recorded)) for carrier in carriers]
    if any(change for _, change in changes):
        ledger.write(_union(target, recorded))
    for carrier, change in changes:
        carrier.patch(change)
    ledger.write(target)


def _union(newer: _Recorded, older: _Recorded) -> _Recorded:
    keys = {**older, **newer}
    return {key: list(dict.fromkeys(newer.get(key, []) + older.get(key, []))) for key in keys}


def _is_jujus(key: str, selected: Set[str]) -> bool:
    """Return whether a label is Juju's or selects pods, so that a change breaks the application."""
    return key in selected or key in _JUJU_LABELS or key.startswith(_JUJU_PREFIXES)


def _refused_labels(labels: Mapping[str, str], selected: Set[str]) -> dict[str, str]:
    illegal = {
        key: f"label {key!r} is not legal"
        for key, value in labels.items()
        if not _is_label(key, value)
    }
    return illegal | {key: f"label {key} is Juju's" for key in labels if _is_jujus(key, selected)}


class _Carrier(NamedTuple):
    """A Kubernetes object that carries the labels, as it is now."""

    client: _AnyClient
    resource: type[NamespacedResource]
    name: str
    namespace: str
    labels_at: tuple[str, ...]
    labels: dict[str, str]
    selector: dict[str, str]

    @property
    def has_pods(self) -> bool:
        """Whether pods get their labels from this object."""
        return "template" in self.labels_at

    def is_free(self, key: str, value: str, recorded: _Recorded) -> bool:
        """Return whether the label is not set, set as wanted, or set by this library."""
        current = self.labels.get(key)
        return current in (None, value) or current in recorded.get(key, ())

    def taken(self, wanted: Mapping[str, str], recorded: _Recorded) -> dict[str, str]:
        """Return, by key, the labels that somebody else set to another value."""
        where = f"{self.resource.__name__} {self.name}"
        return {
            key: f"label {key}={self.labels[key]} on {where} was set by somebody else"
            for key, value in wanted.items()
            if not self.is_free(key, value, recorded)
        }

    def changes(self, wanted: Mapping[str, str], recorded: _Recorded) -> dict[str, str | None]:
        """Return the labels to set, and with None the recorded ones to remove."""
        to_set = {
            key: value
            for key, value in wanted.items()
            if self.labels.get(key) != value and self.is_free(key, value, recorded)
        }
        unwanted = recorded.keys() - wanted.keys()
        to_remove = {key: None for key in sorted(unwanted) if self.labels.get(key) in recorded[key]}
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
    """Return the StatefulSet, whose template makes the pods, and the Service, if they exist."""
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
            labels = _mapping_at(found, *labels_at, "labels")
            selector = _mapping_at(found, *selector_at)
            carriers.append(_Carrier(client, resource, app, namespace, labels_at, labels, selector))
    return carriers


def _mapping_at(manifest: Any, *path: str) -> dict[str, str]:
    """Return the mapping at a path; empty if a part of the path is missing."""
    for part in path:
        manifest = manifest.get(part) or {}
    return manifest


class _Ledger:
    """The record of the labels that this library set, in a ConfigMap.

    Its key ``labels`` has the newest value of each label, as the published library writes it. While
    values change, ``replaced`` has those that pod template or Service may still carry. Both are
    JSON objects.
    """

    def __init__(self, client: _AnyClient, name: str, namespace: str) -> None:
        from lightkube.resources.core_v1 import ConfigMap

        self._client, self._name, self._namespace = client, name, namespace
        self.exists = False
        self.recorded: _Recorded = {}
        with _missing_is_fine():
            found = client.get(ConfigMap, name, namespace=namespace)
            self.exists = True
            self.recorded = self._parse(found.data or {})

    def _parse(self, data: Mapping[str, str]) -> _Recorded:
        try:
            labels = pydantic.TypeAdapter(dict[str, str | None]).validate_json(
                data.get("labels", "{}")
            )
            replaced = pydantic.TypeAdapter(dict[str, list[str]]).validate_json(
                data.get("replaced", "{}")
            )
        except pydantic.ValidationError as error:
            logger.warning("ConfigMap %s is damaged, starting anew: %s", self._name, _reason(error))
            return {}
        # The first published versions wrote null for a label that they had removed.
        return {
            key: [value, *replaced.get(key, ())]
            for key, value in labels.items()
            if value is not None
        }

    def write(self, recorded: _Recorded) -> None:
        """Record these labels, if they differ. Without labels, delete the ConfigMap."""
        if not recorded and self.exists:
            self._delete()
        elif recorded != self.recorded:
            self._apply(recorded)
        self.exists, self.recorded = bool(recorded), recorded

    def _apply(self, recorded: _Recorded) -> None:
        from lightkube.models.meta_v1 import ObjectMeta
        from lightkube.resources.core_v1 import ConfigMap

        replaced = {key: values[1:] for key, values in recorded.items() if values[1:]}
        data = {
            "labels": json.dumps({key: values[0] for key, values in recorded.items()}),
            "replaced": json.dumps(replaced),
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

# Kubernetes' limit for a name, a DNS subdomain, minus the length of a hash and its dash.
_NAME_LENGTH = 253 - 9

# Answers that concern one policy and not the others: it is malformed, its namespace does not exist,
# or it is invalid. If the manager may not take over fields, that is another (409).
_ABOUT_ONE_POLICY = (400, 404, 422)
_CONFLICT = 409

_Manifest = dict[str, Any]
_Key = tuple[str, str]  # namespace and name


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
    """Keeps the AuthorizationPolicies of a charm in the desired state.

    The manager finds its policies by labels, in all namespaces, for which the application needs
    trust.

    Args:
        charm: the charm.
        lightkube_client: for all calls to Kubernetes.
        labels: the labels of the policies of this manager; two managers need different ones. By
            default, the application and its model.
        logger: for the messages of this manager.
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
        """Apply these policies, and delete the other ones of this manager.

        It applies before it deletes, so that an update never denies a call that is allowed before
        and after it.

        Args:
            policies: the policies to apply.
            mesh_type: the kind of mesh.
            raw_policies: resources of ``authorization_policy_resource()``, to be applied unchanged.
            force: take over fields that others applied.
            ignore_missing: ignore that a policy to be deleted is already gone.

        Returns:
            The policies that could not be applied, each with its reason. All others are applied.

        Raises:
            TypeError: a raw policy is of another type.
            ValueError: the kind of mesh is unknown.
            IstioNotInstalledError: the cluster has no AuthorizationPolicies.
            lightkube.ApiError: Kubernetes refused or failed; see ``kubernetes_errors``.
        """
        if mesh_type != MeshType.istio:
            raise ValueError(f"unknown kind of mesh: {mesh_type}")
        raw_policies = list(raw_policies or ())
        self._validate_raw_policies(raw_policies)
        unique = {self._name(policy): policy for policy in policies}
        if not (raw_policies or unique):
            self.delete(ignore_missing)
            return []
        existing = self._existing()
        results = [self._allow(name, policy, existing, force) for name, policy in unique.items()]
        kept = {result for result in results if not isinstance(result, Refusal)}
        # After the others: a raw policy may allow nothing, to close what they do not open.
        raw = [self._marked(cast("Any", policy).to_dict()) for policy in raw_policies]
        kept |= {self._apply(manifest, existing, force) for manifest in raw}
        self._delete(existing.keys() - kept, ignore_missing)
        return [result for result in results if isinstance(result, Refusal)]

    def delete(self, ignore_missing: bool = True) -> None:
        """Delete all policies of this manager.

        Args:
            ignore_missing: ignore that a policy is already gone, or that the cluster has no
                AuthorizationPolicies.

        Raises:
            IstioNotInstalledError: the cluster has no AuthorizationPolicies, and that is not
                ignored.
            lightkube.ApiError: Kubernetes refused or failed; see ``kubernetes_errors``.
        """
        try:
            existing = self._existing()
        except IstioNotInstalledError:
            if not ignore_missing:
                raise
        else:
            self._delete(existing.keys(), ignore_missing)

    def _validate_raw_policies(self, raw_policies: Iterable[Any]) -> None:
        """Raise TypeError for a policy of another type; see the last section of this module."""
        for policy in raw_policies:
            if not isinstance(policy, authorization_policy_resource()):
                raise TypeError(
                    f"{type(policy).__name__} is not a supported policy resource type: "
                    "a raw policy must be an AuthorizationPolicy"
                )

    def _marked(self, manifest: _Manifest) -> _Manifest:
        """Return a policy with the labels by which this manager finds it."""
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
        """Apply one policy. A fault of this policy does not stop the others."""
        if reason := _unrenderable(policy):
            return self._refuse(policy, reason)
        try:
            return self._apply(self._render(name, policy), existing, force)
        except kubernetes_errors() as error:
            conflict = _code(error) == _CONFLICT and not force
            if _code(error) not in _ABOUT_ONE_POLICY and not conflict:
                raise
            return self._refuse(policy, str(error))

    def _refuse(self, policy: MeshPolicy, reason: str) -> Refusal:
        target = policy.target_app_name or policy.target_service or "selected pods"
        self._log.warning("Refused a policy for %s: %s", target, reason)
        return _refusal(target, policy, reason)

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
    """Return whether there is nothing to apply. Others may have added labels."""
    if existing is None:
        return False
    labels = existing["metadata"].get("labels", {})
    return existing.get("spec", {}) == wanted["spec"] and (
        wanted["metadata"]["labels"].items() <= labels.items()
    )


def _digest(policy: MeshPolicy) -> str:
    """Return a hash that does not depend on the order of ports, methods, paths or endpoints."""
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
    """Return why there is no AuthorizationPolicy for a policy; None if there is one."""
    if policy.target_type is PolicyTargetType.app:
        return None
    if any(each.hosts or each.methods or each.paths for each in policy.endpoints):
        return "a policy for units is decided at L4, where there are no hosts, methods or paths"
    return _boundless(policy)


def _spec(policy: MeshPolicy) -> dict[str, Any]:
    principal = f"cluster.local/ns/{policy.source_namespace}/sa/{policy.source_app_name}"
    rule: dict[str, Any] = {"from": [{"source": {"principals": [principal]}}]}
    operations = [_operation(endpoint) for endpoint in policy.endpoints]
    if operations and all(operations):  # an empty operation allows all requests
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


# --- Names of the published library that charms use ---------------------------------------------

# Each of these is private there or not meant for others, and some charm or its tests use it:
#
# - Client: the unit tests of Kubeflow's charms patch this name of the module.
# - POLICY_RESOURCE_TYPES: istio-beacon-k8s imports it.
# - PolicyResourceManager._validate_raw_policies: minio-operator, resource-dispatcher and other
#   charms of Kubeflow call it.
# - ServiceMeshConsumer._lightkube_client: tests set it, as the published docstring tells them.
# - ServiceMeshConsumer._update_labels: a charm calls it to label its pods at once.


def __getattr__(name: str) -> Any:
    """Return a name that needs lightkube, which is imported only then."""
    if name == "Client":
        from lightkube import Client

        return Client
    if name == "POLICY_RESOURCE_TYPES":
        return {MeshType.istio: {authorization_policy_resource()}}
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
