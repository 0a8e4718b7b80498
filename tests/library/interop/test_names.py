"""A charm that imports and calls the published names finds them, with the same arguments."""

import inspect
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import pydantic
import pytest
from two_libraries import OURS, PUBLISHED, PUBLISHED_LABELS, PUBLISHED_RESOURCES, Library

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
def test_a_name_is_there(name: str):
    assert hasattr(OURS, name)


@pytest.mark.parametrize(("library", "name"), CALLED)
def test_what_is_called_takes_the_same_arguments(library: Library, name: str):
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


def test_the_ledger_has_the_same_name():
    assert OURS.label_configmap_name_template == PUBLISHED.label_configmap_name_template
