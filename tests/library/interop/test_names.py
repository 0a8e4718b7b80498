"""Charms find all published names in our library, with the same arguments."""

import inspect
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import lightkube
import pydantic
import pytest
from small_charms import LABELS, ambient, consumer, state
from small_cluster import APP, MODEL, SmallCluster
from two_libraries import OURS, PUBLISHED, PUBLISHED_LABELS, PUBLISHED_RESOURCES, Library

CHARM = consumer()
DATA = [
    name
    for name in PUBLISHED.__all__
    if inspect.isclass(each := getattr(PUBLISHED, name)) and issubclass(each, pydantic.BaseModel)
]
CALLED = [
    (PUBLISHED, "ServiceMeshConsumer"),
    (PUBLISHED, "ServiceMeshConsumer.update_service_mesh"),
    (PUBLISHED, "ServiceMeshConsumer.labels"),
    (PUBLISHED, "ServiceMeshConsumer.mesh_type"),
    (PUBLISHED, "ServiceMeshProvider"),
    (PUBLISHED, "ServiceMeshProvider.update_relations"),
    (PUBLISHED, "ServiceMeshProvider.mesh_info"),
    (PUBLISHED, "build_mesh_policies"),
    (PUBLISHED, "get_data_from_cmr_relation"),
    (PUBLISHED_LABELS, "reconcile_charm_labels"),
    (PUBLISHED_RESOURCES, "PolicyResourceManager"),
    (PUBLISHED_RESOURCES, "PolicyResourceManager.reconcile"),
    (PUBLISHED_RESOURCES, "PolicyResourceManager.delete"),
]


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}


@pytest.mark.parametrize("name", PUBLISHED.__all__)
def test_a_published_name_exists(name: str):
    assert hasattr(OURS, name)


@pytest.mark.parametrize(("library", "name"), CALLED)
def test_a_callable_takes_the_same_arguments(library: Library, name: str):
    theirs, ours = attrgetter(name)(library), attrgetter(name)(OURS)

    assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)
    assert defaults(theirs).items() <= defaults(ours).items()


@pytest.mark.parametrize("name", DATA)
def test_data_has_the_same_fields(name: str):
    ours, theirs = getattr(OURS, name).model_fields, getattr(PUBLISHED, name).model_fields

    assert list(ours) == list(theirs)
    assert required(ours) <= required(theirs)


def required(fields: dict[str, Any]) -> set[str]:
    return {name for name, field in fields.items() if field.is_required()}


@pytest.mark.parametrize("name", ["Method", "MeshType", "PolicyTargetType"])
def test_an_enum_has_the_same_members(name: str):
    ours, theirs = getattr(OURS, name), getattr(PUBLISHED, name)

    assert {each.name: each.value for each in ours} == {each.name: each.value for each in theirs}


class TestNamesThatCharmsUse:
    """Charms or their tests use some private names of the published library."""

    def test_the_client_can_be_replaced(self, monkeypatch: pytest.MonkeyPatch):
        given: dict[str, Any] = {}
        monkeypatch.setattr(OURS, "Client", given.update)

        with CHARM(CHARM.on.start(), state()) as manager:
            _ = manager.charm.mesh.lightkube_client

        assert (given["namespace"], given["field_manager"]) == (MODEL, APP)
        assert given["timeout"] > 0

    def test_the_client_is_that_of_lightkube(self):
        assert OURS.Client is lightkube.Client

    def test_an_unknown_name_is_an_error(self):
        with pytest.raises(AttributeError, match="no attribute 'Clients'"):
            _ = OURS.Clients

    def test_a_client_can_be_injected(self):
        with CHARM(CHARM.on.start(), state()) as manager:
            mesh: Any = manager.charm.mesh
            mesh._lightkube_client = self

            assert mesh.lightkube_client is self

    def test_policies_for_istio_are_of_one_type(self):
        types: Any = OURS.POLICY_RESOURCE_TYPES

        assert types == {OURS.MeshType.istio: {OURS.authorization_policy_resource()}}

    def test_raw_policies_can_be_checked(self):
        policy = OURS.authorization_policy_resource()()
        with CHARM(CHARM.on.start(), state()) as manager:
            nowhere: Any = None
            check = OURS.PolicyResourceManager(manager.charm, nowhere)._validate_raw_policies

            check([policy])
            with pytest.raises(TypeError, match="dict is not a supported policy resource type"):
                check([policy, {}])

    @pytest.mark.parametrize("leader", [True, False])
    def test_labels_can_be_updated_at_once(self, leader: bool, cluster: SmallCluster):
        with CHARM(CHARM.on.start(), state(ambient(), leader=leader)) as manager:
            mesh: Any = manager.charm.mesh
            mesh._update_labels(None)
            manager.run()

        assert (LABELS.items() <= cluster.pod_labels().items()) is leader


def test_the_ledger_has_the_same_name():
    assert OURS.label_configmap_name_template == PUBLISHED.label_configmap_name_template
