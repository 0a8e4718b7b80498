"""Snapshots that are read through a `juju` with the answers of a controller."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jubilant
import pytest

from mesh_map.model import Name, Policy
from mesh_map.reading import policies
from mesh_map.reading.snapshot import Reader

PRODUCER, SCRAPER, REMOTE = (
    Name("demo", "producer"),
    Name("demo", "scraper"),
    Name("demo-remote", "scraper"),
)
ALIAS = "remote-2affbe46419e42d7800f327873981258"
_PROGRAM = f"""#!{sys.executable}
import json, pathlib, sys
answers = json.loads(pathlib.Path(__file__).with_name("answers.json").read_text())
words = " ".join(sys.argv[1:])
key = max((key for key in answers if words.startswith(key)), key=len)
print(answers[key])
"""
TABLE = f"""\
Model  Controller  Cloud/Region  Version
demo   k8s         k8s           4.0.15

Integration provider    Requirer                 Interface         Type     Message
mesh:service-mesh       producer:service-mesh    service_mesh      regular
mesh:service-mesh       scraper:service-mesh     service_mesh      regular
producer:data           {ALIAS}:data             http_data         regular
producer:data           scraper:data             http_data         regular
producer:metrics        scraper:metrics          prometheus_scrape regular
producer:peers          producer:peers           peers             peer

Storage  ...
"""
REMOTE_TABLE = """\
Integration provider       Requirer                  Interface         Type
mesh:service-mesh          scraper:service-mesh      service_mesh      regular
producer:data              scraper:data              http_data         regular
producer:provide-cmr-mesh  scraper:require-cmr-mesh  cross_model_mesh  regular
"""
ROWS = [
    {
        "app": "producer",
        "state": "accepted",
        "policy": "scraper of demo may call GET :8080 /data on Service producer",
        "reason": "",
    },
    {
        "app": "producer",
        "state": "accepted",
        "policy": "scraper of demo may call GET :9090 /metrics or :9091 on units of producer",
        "reason": "",
    },
    {"app": "producer", "state": "refused", "policy": "[]", "reason": "malformed"},
]


def application(charm: str, units: int = 1, status: str = "active") -> dict[str, Any]:
    return {
        "charm": f"local:{charm}-0",
        "charm-origin": "local",
        "charm-name": charm,
        "charm-rev": 0,
        "exposed": False,
        "application-status": {"current": status, "message": "no trust"},
        "units": {f"{charm}/{n}": {} for n in range(units)},
    }


def status(name: str, apps: Mapping[str, Any], **others: Any) -> str:
    model = {"name": name, "type": "caas", "controller": "k8s", "cloud": "k8s", "version": "4"}
    named: dict[str, Any] = {
        app: {**found, "units": {f"{app}/0": {}}} for app, found in apps.items()
    }
    return json.dumps({"model": model, "machines": {}, "applications": named, **others})


def task(results: Mapping[str, Any]) -> str:
    return json.dumps({"mesh/0": {"id": "1", "status": "completed", "results": results}})


def unit(remote: str = "producer/0", **endpoints: str) -> dict[str, Any]:
    """Return a unit with the application data of its relations, by endpoint."""
    infos: list[dict[str, Any]] = [
        {
            "endpoint": endpoint,
            "application-data": {"url": url},
            "related-units": {remote: {"data": {}}},
        }
        for endpoint, url in endpoints.items()
    ]
    return {"relation-info": infos}


OFFER = {
    "url": "k8s:admin/demo.stuff",
    "endpoints": {
        "data": {"interface": "http_data", "role": "provider"},
        "provide-cmr-mesh": {"interface": "cross_model_mesh", "role": "provider"},
    },
}
ANSWERS = {
    "models": json.dumps(
        {
            "models": [
                {"short-name": name, "is-controller": name == "controller", "life": life}
                for name, life in (
                    ("controller", "alive"),
                    ("demo", "alive"),
                    ("demo-remote", "alive"),
                    ("gone", "dying"),
                )
            ]
        }
    ),
    "status --model demo": status(
        "demo",
        {
            "mesh": application("stub-mesh-k8s"),
            "producer": application("producer-k8s", status="blocked"),
            "scraper": application("scraper-k8s"),
        },
        offers={"stuff": {"application": "producer", "endpoints": {}}},
    ),
    "status --model demo --relations": TABLE,
    "status --model demo-remote": status(
        "demo-remote",
        {"mesh": application("stub-mesh-k8s"), "scraper": application("scraper-k8s")},
        **{"application-endpoints": {"producer": OFFER}},
    ),
    "status --model demo-remote --relations": REMOTE_TABLE,
    "show-unit --model demo": json.dumps(
        {"scraper/0": unit(data="http://producer:8080/data", metrics='["*:9090"]')}
    ),
    "actions": json.dumps({"policies": "", "explain": ""}),
    "run --model demo": task(
        {"rows": json.dumps(ROWS), "unenforced": "paths are not enforced", "return-code": 0}
    ),
    "run --model demo-remote": task({"rows": "[]", "unenforced": "", "return-code": 0}),
}
Make = Callable[..., Reader]


@pytest.fixture
def reader(tmp_path: Path) -> Make:
    """Make a reader of a `juju` with these answers, by the words that a command begins with."""

    def make(**changes: str) -> Reader:
        program = tmp_path / "juju"
        program.write_text(_PROGRAM)
        program.chmod(0o755)
        renamed = {key.replace("_", " "): value for key, value in changes.items()}
        (tmp_path / "answers.json").write_text(json.dumps({**ANSWERS, **renamed}))
        return Reader(cli_binary=str(program))

    return make


def test_models_that_live_are_read_without_the_controller(reader: Make):
    found = reader().read()

    assert [model.name for model in found.models] == ["demo", "demo-remote"]


def test_a_mesh_is_apart_from_the_applications_on_it(reader: Make):
    demo = reader().read().models[0]

    assert [mesh.name.app for mesh in demo.meshes] == ["mesh"]
    assert {app.name.app: app.on_mesh for app in demo.applications} == {
        "producer": True,
        "scraper": True,
    }
    assert demo.note == "paths are not enforced"


def test_trouble_is_read_with_its_message(reader: Make):
    apps = reader().read().applications

    assert apps[PRODUCER].trouble == "blocked: no trust"
    assert apps[SCRAPER].trouble == ""


def test_an_application_without_a_mesh_is_off_it(reader: Make):
    table = "\n".join(line for line in TABLE.splitlines() if "scraper:service-mesh" not in line)

    apps = reader(**{"status --model demo --relations": table}).read().applications

    assert not apps[SCRAPER].on_mesh
    assert apps[PRODUCER].on_mesh


def test_relations_lead_to_the_application_behind_an_offer(reader: Make):
    found = {(each.requirer, each.provider): each for each in reader().read().relations}

    assert set(found) == {(SCRAPER, PRODUCER), (REMOTE, PRODUCER)}
    assert found[REMOTE, PRODUCER].identity_endpoint == "provide-cmr-mesh"
    assert found[SCRAPER, PRODUCER].identity_endpoint == ""


def test_an_identity_is_no_relation_of_calls(reader: Make):
    assert reader().read().identities == {(REMOTE, PRODUCER)}


def test_relation_data_tells_the_ports_of_two_relations(reader: Make):
    found = {each.provider_endpoint: each.ports for each in reader().read().relations[:2]}

    assert found == {"data": {8080}, "metrics": {9090}}


def test_the_provider_tells_the_ports_of_its_own_data(reader: Make):
    own = {
        "scraper/0": unit(data="", metrics=""),
        "producer/0": unit("scraper/0", data="http://producer:8080/data", metrics='["*:9090"]'),
    }

    read = reader(**{"show-unit --model demo": json.dumps(own)}).read()

    found = {each.provider_endpoint: each.ports for each in read.relations[:2]}
    assert found == {"data": frozenset({8080}), "metrics": frozenset({9090})}


def test_each_request_is_read_unless_its_policy_is_malformed(reader: Make):
    assert reader().read().policies == (
        Policy(SCRAPER, PRODUCER, "GET :8080 /data"),
        Policy(SCRAPER, PRODUCER, "GET :9090 /metrics", on_units=True),
        Policy(SCRAPER, PRODUCER, ":9091", on_units=True),
    )


def test_a_refused_policy_keeps_its_reason():
    row = {**ROWS[0], "state": "refused", "reason": "not its own target"}

    (policy,) = policies.parse(row, "demo")

    assert policy.refusal == "not its own target"


def test_a_mesh_without_the_action_is_not_asked(reader: Make):
    found = reader(actions="{}").read()

    assert found.policies == ()
    assert [model.meshes for model in found.models] == [(), ()]


def test_a_look_differs_only_if_the_models_do(reader: Make):
    before = reader().look()

    assert reader().look() == before
    blocked = ANSWERS["status --model demo"].replace("no trust", "no leader")
    assert reader(**{"status --model demo": blocked}).look() != before


def test_an_error_of_juju_is_raised(tmp_path: Path):
    program = tmp_path / "juju"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)

    with pytest.raises(jubilant.CLIError):
        Reader(cli_binary=str(program)).read()
