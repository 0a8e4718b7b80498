"""The rows and columns of `kubectl get`, which the server makes."""

import itertools
import json
from collections.abc import Iterator

import pytest

from rehearsal.kubernetes.store import Object
from tests.kubernetes.contract.waiting import eventually
from tests.kubernetes.kube import (
    RBAC,
    ConfigMap,
    Definition,
    HorizontalPodAutoscaler,
    Kind,
    Kube,
    Namespace,
    NetworkPolicy,
    Pod,
    RefusedError,
    Service,
    ServiceAccount,
    StatefulSet,
    outcome,
)
from tests.kubernetes.objects import (
    autoscaler,
    binding,
    config_map,
    definition,
    network_policy,
    pod,
    policy,
    role,
    service,
    service_account,
    stateful_set,
)

TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}


def table(kube: Kube, kind: Kind, name: str | None = None, **query: str) -> Object:
    return kube.request("GET", kube.path(kind, name), headers=TABLE, params=query)


def shown(found: Object) -> dict[str, object]:
    """Return the cells of the first row by heading. Cells of time have no value."""
    headings = [column["name"] for column in found["columnDefinitions"]]
    cells = dict(zip(headings, found["rows"][0]["cells"], strict=True))
    return {name: cell for name, cell in cells.items() if name not in ("Age", "Created At")}


def test_a_table_has_a_row_for_each_object_and_says_which(admin: Kube) -> None:
    created = admin.create(config_map("a", labels={"of": "test"}, key="1"))
    admin.create(config_map("b", labels={"of": "test"}))

    found = table(admin, ConfigMap, labelSelector="of=test")

    assert (found["kind"], found["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [row["cells"][:2] for row in found["rows"]] == [["a", 1], ["b", 0]]
    assert found["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert found["rows"][0]["object"]["metadata"]["uid"] == created["metadata"]["uid"]
    columns = [
        (each["name"], each["format"], each["priority"]) for each in found["columnDefinitions"]
    ]
    assert columns == [("Name", "name", 0), ("Data", "", 0), ("Age", "", 0)]
    assert found["rows"][0]["cells"][2].endswith("s")


@pytest.mark.parametrize(("include", "kind"), [("None", None), ("Object", "ConfigMap")])
def test_a_row_includes_the_requested_object(admin: Kube, include: str, kind: str | None) -> None:
    admin.create(config_map("a"))

    found = table(admin, ConfigMap, "a", includeObject=include)["rows"][0].get("object")

    assert (found and found["kind"]) == kind


def test_a_pod(admin: Kube) -> None:
    admin.create(service_account("workload"))
    given = pod("a")
    given["spec"] |= {"serviceAccountName": "workload", "nodeSelector": {"is": "nowhere"}}
    eventually(lambda: outcome(lambda: admin.create(given)) in (200, 409))

    assert shown(table(admin, Pod)) == {
        "Name": "a",
        "Ready": "0/1",
        "Status": "Pending",
        "Restarts": "0",
        **dict.fromkeys(("IP", "Node", "Nominated Node", "Readiness Gates"), "<none>"),
    }


def test_a_service(admin: Kube) -> None:
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 53, "protocol": "UDP"}]
    admin.create(service(clusterIP="None", ports=ports, selector={"tier": "mesh", "app": "a"}))

    assert shown(table(admin, Service)) == {
        "Name": "a",
        "Type": "ClusterIP",
        "Cluster-IP": "None",
        "External-IP": "<none>",
        "Port(s)": "80/TCP,53/UDP",
        "Selector": "app=a,tier=mesh",
    }


def test_a_stateful_set(admin: Kube) -> None:
    admin.create(stateful_set())

    found = shown(table(admin, StatefulSet))

    assert found == {"Name": "a", "Ready": "0/0", "Containers": "workload", "Images": "image:1"}


def test_an_autoscaler(admin: Kube) -> None:
    admin.create(autoscaler(maxReplicas=3))

    assert shown(table(admin, HorizontalPodAutoscaler)) == {
        "Name": "web",
        "Reference": "StatefulSet/web",
        "Targets": "cpu: <unknown>/80%",
        "MinPods": "1",
        "MaxPods": 3,
        "Replicas": 0,
    }


@pytest.mark.parametrize(
    ("selector", "cell"), [({}, "<none>"), ({"matchLabels": {"app": "a"}}, "app=a")]
)
def test_a_network_policy(admin: Kube, selector: Object, cell: str) -> None:
    admin.create(network_policy(podSelector=selector))

    assert shown(table(admin, NetworkPolicy)) == {"Name": "deny", "Pod-Selector": cell}


def test_a_namespace_and_a_service_account(admin: Kube, place: str) -> None:
    admin.create(service_account("a"))

    assert shown(table(admin, Namespace, place)) == {"Name": place, "Status": "Active"}
    found = shown(table(admin, ServiceAccount, "a"))
    assert found["Name"] == "a"


def test_roles_and_their_bindings(admin: Kube, place: str) -> None:
    admin.create(role("Role", "a"))
    subject = {"kind": "ServiceAccount", "namespace": place, "name": "scraper"}
    admin.create(binding("RoleBinding", "a", "Role", subject))

    assert shown(table(admin, Kind(f"{RBAC}/v1", "Role"))) == {"Name": "a"}
    assert shown(table(admin, Kind(f"{RBAC}/v1", "RoleBinding"))) == {
        "Name": "a",
        "Role": "Role/a",
        "Users": "",
        "Groups": "",
        "ServiceAccounts": f"{place}/scraper",
    }


def test_a_custom_resource_whose_definition_names_no_columns(
    admin: Kube, policies: Kind, group: str
) -> None:
    admin.create(policy("a", group=group))

    assert shown(table(admin, policies)) == {"Name": "a"}


@pytest.fixture
def printed(admin: Kube, run: str) -> Iterator[Kind]:
    """A kind with columns of its own."""
    group = f"printed.{run}.example.com"
    names = {"kind": "Printed", "plural": "printeds", "singular": "printed"}
    columns = [
        {"name": "Action", "type": "string", "jsonPath": ".spec.action"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Count", "type": "integer", "jsonPath": ".spec.count", "priority": 1},
    ]
    given = definition(group, additionalPrinterColumns=columns)
    given["metadata"]["name"] = f"printeds.{group}"
    given["spec"]["names"] = names
    admin.create(given)
    kind = Kind(f"{group}/v1", "Printed")
    eventually(lambda: outcome(lambda: admin.list(kind)) == 200)
    yield kind
    admin.delete(Definition, given["metadata"]["name"])


def test_a_custom_resource_with_columns_of_its_own(admin: Kube, printed: Kind) -> None:
    obj: Object = {"apiVersion": printed.api_version, "kind": "Printed", "metadata": {"name": "a"}}
    admin.create({**obj, "spec": {"action": "DENY", "count": 3}})

    found = table(admin, printed)

    assert shown(found) == {"Name": "a", "Action": "DENY", "Count": 3}
    assert [each["priority"] for each in found["columnDefinitions"]] == [0, 0, 0, 1]
    assert found["rows"][0]["cells"][2].endswith("s")


def test_a_watch_has_its_headings_once(admin: Kube) -> None:
    since = admin.create(config_map("a"))["metadata"]["resourceVersion"]
    admin.create(config_map("b"))
    admin.delete(ConfigMap, "b")
    query = {"watch": "1", "resourceVersion": since, "timeoutSeconds": "20"}
    query["fieldSelector"] = "metadata.name=b"

    path = admin.path(ConfigMap)
    with admin.http.stream("GET", path, headers=TABLE, params=query, timeout=30) as answer:
        events = [json.loads(line) for line in itertools.islice(answer.iter_lines(), 2)]

    assert [event["type"] for event in events] == ["ADDED", "DELETED"]
    tables = [event["object"] for event in events]
    assert [len(each.get("columnDefinitions") or []) for each in tables] == [3, 0]
    assert [each["rows"][0]["cells"][0] for each in tables] == ["b", "b"]


def test_other_content_types_are_not_acceptable(admin: Kube) -> None:
    with pytest.raises(RefusedError) as error:
        admin.request("GET", admin.path(ConfigMap), headers={"Accept": "image/png"})

    assert error.value.reason == (406, "NotAcceptable")
