"""The policies of a charm, applied to its related applications and written to the wire."""

import json
from collections.abc import Callable
from typing import Any

import pydantic
import pytest
from ops import testing
from small_charms import ALIAS, consumer, entry, related, state
from small_cluster import APP, MODEL

from charms.istio_beacon_k8s.v0.service_mesh import (
    AppPolicy,
    CMRData,
    Endpoint,
    MeshPolicy,
    Method,
    Policy,
    PolicyTargetType,
    UnitPolicy,
    build_mesh_policies,
    get_data_from_cmr_relation,
)

GET_METRICS = Endpoint(ports=[9090], methods=[Method.get], paths=["/metrics"])
SCRAPE = AppPolicy(relation="metrics", endpoints=[GET_METRICS])
SCRAPE_UNITS = UnitPolicy(relation="metrics", ports=[9090])


def build(
    *policies: Policy | AppPolicy | UnitPolicy,
    to: tuple[testing.Relation, ...],
    identities: dict[str, CMRData] | None = None,
) -> list[MeshPolicy]:
    with consumer()(consumer().on.start(), state(*to)) as manager:
        relations = manager.charm.model.relations
        return build_mesh_policies(relations, APP, MODEL, list(policies), identities)


def wire(policies: list[MeshPolicy]) -> str:
    return json.dumps([policy.model_dump() for policy in policies])


def test_app_policy_on_the_wire():
    policies = build(SCRAPE, to=(related("metrics", "scraper"),))

    assert wire(policies) == (
        '[{"source_namespace": "prod", "source_app_name": "scraper", "target_namespace": "prod",'
        ' "target_app_name": "producer", "target_selector_labels": null, "target_service": null,'
        ' "target_type": "app", "endpoints": [{"hosts": null, "ports": [9090], "methods": ["GET"],'
        ' "paths": ["/metrics"]}]}]'
    )


def test_unit_policy_on_the_wire():
    policies = build(SCRAPE_UNITS, to=(related("metrics", "scraper"),))

    assert wire(policies) == (
        '[{"source_namespace": "prod", "source_app_name": "scraper", "target_namespace": "prod",'
        ' "target_app_name": "producer", "target_selector_labels": null, "target_service": null,'
        ' "target_type": "unit", "endpoints": [{"hosts": null, "ports": [9090], "methods": null,'
        ' "paths": null}]}]'
    )


def test_unit_policy_without_ports_has_no_endpoints():
    [policy] = build(UnitPolicy(relation="metrics"), to=(related("metrics", "scraper"),))

    assert policy.endpoints == []


def test_a_service_in_a_policy_is_on_the_wire():
    given = AppPolicy(relation="data", endpoints=[Endpoint()], service="producer-lb")

    [policy] = build(given, to=(related("data", "reader"),))

    assert policy.target_service == "producer-lb"


def test_without_related_applications_there_are_no_policies():
    assert build(SCRAPE, SCRAPE_UNITS, to=(related("data", "reader"),)) == []


def test_policies_are_in_the_charms_order_then_by_relation_id():
    later, earlier = related("metrics", "zeta", id=7), related("metrics", "alpha", id=11)

    policies = build(SCRAPE_UNITS, SCRAPE, to=(earlier, later))

    assert [(p.target_type.value, p.source_app_name) for p in policies] == [
        ("unit", "zeta"),
        ("unit", "alpha"),
        ("app", "zeta"),
        ("app", "alpha"),
    ]


def test_equal_policies_are_there_once():
    twice = (related("metrics", "scraper", id=1), related("metrics", "scraper", id=2))

    assert len(build(SCRAPE, SCRAPE, to=twice)) == 1


def test_an_identity_replaces_the_alias():
    identities = {ALIAS: CMRData(app_name="scraper", juju_model_name="far")}

    [policy] = build(SCRAPE, to=(related("metrics", ALIAS),), identities=identities)

    assert (policy.source_app_name, policy.source_namespace) == ("scraper", "far")


def test_an_alias_without_an_identity_gets_no_policy():
    identities = {ALIAS[:-1] + "0": CMRData(app_name="scraper", juju_model_name="far")}

    assert build(SCRAPE, to=(related("metrics", ALIAS),), identities=identities) == []


def test_policy_equals_app_policy_and_warns():
    with pytest.warns(DeprecationWarning, match="AppPolicy"):
        old = Policy(relation="metrics", endpoints=[GET_METRICS])

    assert build(old, to=(related("metrics", "scraper"),)) == build(
        SCRAPE, to=(related("metrics", "scraper"),)
    )


def test_a_policy_of_version_02_is_read():
    old = {k: v for k, v in entry().items() if k not in ("target_selector_labels", "target_type")}

    assert MeshPolicy.model_validate(old).target_type is PolicyTargetType.app


@pytest.mark.parametrize(
    "target",
    [
        {"target_app_name": None, "target_service": "producer-lb"},
        {"target_service": "producer-lb"},
        {"target_type": "unit"},
        {"target_type": "unit", "target_app_name": None, "target_selector_labels": {"a": "b"}},
    ],
)
def test_a_target_that_fits_its_type_is_accepted(target: dict[str, Any]):
    assert MeshPolicy.model_validate(entry(**target))


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ({"target_app_name": None}, "needs target_app_name or target_service"),
        ({"target_selector_labels": {"a": "b"}}, "does not support target_selector_labels"),
        ({"target_type": "unit", "target_service": "s"}, "does not support target_service"),
        ({"target_type": "unit", "target_selector_labels": {"a": "b"}}, "cannot have both"),
    ],
)
def test_a_target_that_does_not_fit_its_type_is_refused(target: dict[str, Any], reason: str):
    with pytest.raises(pydantic.ValidationError, match=reason):
        MeshPolicy.model_validate(entry(**target))


class TestStrictForCharmAuthors:
    @pytest.mark.parametrize(
        ("model", "arguments", "fields"),
        [
            (Endpoint, {"method": ["GET"]}, "hosts, ports, methods, paths"),
            (Endpoint, {"path": ["/data"]}, "hosts, ports, methods, paths"),
            (UnitPolicy, {"relation": "data", "port": [9090]}, "relation, ports"),
            (
                AppPolicy,
                {"relation": "data", "endpoints": [Endpoint()], "services": "lb"},
                "relation, endpoints, service",
            ),
            (Policy, {"relation": "data", "endpoint": []}, "relation, endpoints, service"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:Policy is deprecated")
    def test_an_unknown_field_is_refused_and_known_ones_are_named(
        self, model: type[pydantic.BaseModel], arguments: dict[str, Any], fields: str
    ):
        unknown = list(arguments)[-1] if model is not Policy else "endpoint"

        with pytest.raises(pydantic.ValidationError) as caught:
            model(**arguments)

        [error] = caught.value.errors()
        assert error["loc"] == (unknown,)
        assert error["msg"] == f"unknown; the fields are {fields}"

    @pytest.mark.parametrize("kind", [list, tuple])
    def test_an_unknown_field_of_a_dictionary_is_refused(self, kind: Callable[[Any], Any]):
        endpoints = kind([{"method": ["GET"]}])
        policy: dict[str, Any] = {"relation": "data", "endpoints": endpoints}

        with pytest.raises(
            pydantic.ValidationError, match=r"(?s)method.*unknown; the fields are hosts"
        ):
            AppPolicy(**policy)

    @pytest.mark.parametrize("field", ["hosts", "ports", "methods", "paths"])
    def test_an_empty_list_in_an_endpoint_is_refused(self, field: str):
        with pytest.raises(pydantic.ValidationError, match=rf"(?s){field}.*would allow everything"):
            Endpoint(**{field: []})

    @pytest.mark.parametrize(("model", "field"), [(UnitPolicy, "ports"), (AppPolicy, "endpoints")])
    def test_an_empty_list_in_a_policy_is_refused(
        self, model: type[pydantic.BaseModel], field: str
    ):
        with pytest.raises(pydantic.ValidationError, match=rf"(?s){field}.*would allow everything"):
            model(**{"relation": "data", field: []})

    @pytest.mark.parametrize("kind", [tuple, set])
    def test_any_other_empty_collection_is_refused(self, kind: Callable[[], Any]):
        with pytest.raises(pydantic.ValidationError, match="would allow everything"):
            UnitPolicy(relation="data", ports=kind())

    @pytest.mark.parametrize("path", ["/", "/data", "/data/*", "*/x", "/{*}", "{*}"])
    def test_a_path_that_istio_can_match_is_accepted(self, path: str):
        assert Endpoint(paths=[path]).paths == [path]

    @pytest.mark.parametrize("path", ["", "data", "http://x/data", " /data"])
    def test_a_path_that_matches_nothing_is_refused(self, path: str):
        with pytest.raises(pydantic.ValidationError, match=r"(?s)paths.*a path begins with"):
            Endpoint(paths=[path])

    def test_an_empty_endpoint_allows_every_call(self):
        [policy] = build(
            AppPolicy(relation="data", endpoints=[Endpoint()]), to=(related("data", "reader"),)
        )

        assert policy.endpoints == [Endpoint()]

    @pytest.mark.parametrize(
        "endpoint", [{"more": 1}, {"ports": []}, {"paths": ["data"]}, {"paths": [""]}]
    )
    def test_an_endpoint_from_a_relation_is_read_leniently(self, endpoint: dict[str, Any]):
        text = json.dumps(entry(endpoints=[endpoint]))

        [from_json] = MeshPolicy.model_validate_json(text).endpoints
        [from_python] = MeshPolicy.model_validate(json.loads(text)).endpoints

        assert from_json == from_python
        assert from_json.paths == endpoint.get("paths")

    @pytest.mark.parametrize("labels", [{"a b": "c"}, {"a": "b c"}, {"": "a"}, {"a": "x" * 64}])
    def test_an_illegal_label_in_a_selector_is_refused(self, labels: dict[str, str]):
        unit = {"target_type": "unit", "target_app_name": None, "target_selector_labels": labels}

        with pytest.raises(pydantic.ValidationError, match="is not a label of Kubernetes"):
            MeshPolicy.model_validate(entry(**unit))


GOOD_NAMES = ["a", "A1", "my-app", "my_app.v2", "x" * 63]
BAD_NAMES = ["", "*", "a*", "a/b", "a b", "-a", "a-", ".a", "a\n", "é", "x" * 64, "ns/victim/sa/x"]


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_valid_name_is_accepted(name: str):
    assert CMRData(app_name=name, juju_model_name=name).app_name == name


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("field", ["app_name", "juju_model_name"])
def test_an_invalid_name_is_refused(field: str, name: str):
    identity = {"app_name": "scraper", "juju_model_name": "far", field: name}
    with pytest.raises(pydantic.ValidationError, match="should match pattern"):
        CMRData.model_validate(identity)


@pytest.mark.parametrize("port", [1, 65535])
def test_a_valid_port_is_accepted(port: int):
    assert Endpoint(ports=[port]).ports == [port]


@pytest.mark.parametrize("port", [0, 65536, -1])
def test_an_invalid_port_is_refused(port: int):
    with pytest.raises(pydantic.ValidationError):
        Endpoint(ports=[port])


@pytest.mark.parametrize("data", ["", "{", "[]", '{"app_name": "*", "juju_model_name": "far"}'])
def test_an_invalid_identity_does_not_affect_the_others(data: str):
    good = json.dumps({"app_name": "scraper", "juju_model_name": "far"})
    relations = (
        related("provide-cmr-mesh", "bad", remote_app_data={"cmr_data": data}),
        related("provide-cmr-mesh", "good", remote_app_data={"cmr_data": good}),
        related("provide-cmr-mesh", "silent"),
    )

    with consumer()(consumer().on.start(), state(*relations)) as manager:
        found = get_data_from_cmr_relation(manager.charm.model.relations["provide-cmr-mesh"])

    assert found == {"good": CMRData(app_name="scraper", juju_model_name="far")}
