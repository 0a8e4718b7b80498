"""The waits of the demo on a slow controller."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jubilant
import pytest

from demo import patience
from tests.demo.conftest import Script, StatefulSets

DATA = ("producer:data", "scraper:data")


def unit(workload: str = "active", agent: str = "idle", **more: str) -> dict[str, Any]:
    return {"workload-status": {"current": workload}, "juju-status": {"current": agent}, **more}


def app(
    name: str, units: dict[str, Any] | None = None, *, scale: int = 1, related: str = ""
) -> dict[str, Any]:
    return {
        "charm": f"local:{name}-1",
        "charm-origin": "local",
        "charm-name": name,
        "charm-rev": 1,
        "exposed": False,
        "scale": scale,
        "application-status": {"current": "active"},
        "relations": {"data": [{"related-application": related}]} if related else {},
        "units": {f"{name}/0": unit()} if units is None else units,
    }


def status(**apps: dict[str, Any]) -> dict[str, Any]:
    model = {"name": "demo", "type": "caas", "controller": "k8s", "cloud": "k8s", "version": "4"}
    return {"model": model, "machines": {}, "applications": apps}


def shown(unit: str, related: str, *, in_scope: bool) -> dict[str, Any]:
    """Return a unit with another unit on the other side of its relation `data`."""
    relation: dict[str, Any] = {
        "relation-id": 1,
        "endpoint": "data",
        "related-endpoint": "data",
        "application-data": {},
        "related-units": {related: {"in-scope": in_scope, "data": {}}},
    }
    return {unit: {"opened-ports": [], "charm": "", "leader": True, "relation-info": [relation]}}


ALONE = status(producer=app("producer"))
RELATED = status(
    producer=app("producer", related="scraper"), scraper=app("scraper", related="producer")
)


@pytest.mark.parametrize(
    "early",
    [
        status(producer=app("producer", scale=2)),
        status(producer=app("producer", {"producer/0": unit("unknown", "lost")})),
        status(producer=app("producer", {"producer/0": unit(agent="executing")})),
        status(producer=app("producer", {"producer/0": unit(**{"upgrading-from": "local:p-0"})})),
    ],
)
def test_a_model_has_settled_when_its_units_are_ready(script: Script, early: dict[str, Any]):
    script.answer("status", early, early, ALONE)

    patience.settle(script.juju)

    assert script.left("status") == 1


def test_an_idle_model_has_settled_when_its_units_have_joined(script: Script):
    script.answer("status", RELATED)
    producer = shown("producer/0", "scraper/0", in_scope=True)
    late = [shown("scraper/0", "producer/0", in_scope=joined) for joined in (False, True, True)]
    script.answer("show-unit", *(producer | scraper for scraper in late))

    patience.settle(script.juju)

    assert script.left("show-unit") == 1


def test_a_unit_that_does_not_settle_is_named(tmp_path: Path):
    script = Script(tmp_path, seconds=0.1)
    script.answer("status", status(producer=app("producer", {"producer/0": unit("waiting")})))

    with pytest.raises(TimeoutError) as failure:
        patience.settle(script.juju)

    expected = "producer/0: expected active and idle, observed waiting and idle"
    assert str(failure.value) == f"after 0.1 s: {expected}"


TOO_MANY = status(producer=app("producer", {"producer/0": unit(), "producer/1": unit()}))


def test_a_pod_that_stays_is_scaled_down_again(tmp_path: Path, stateful_sets: StatefulSets):
    script = Script(tmp_path, seconds=4)
    script.answer("remove-unit", None)
    script.answer("scale-application", None, None, None)
    script.answer("status", TOO_MANY, ALONE)
    stateful_sets.put("producer", {}, replicas=2)

    def scale_down() -> None:
        patience.until(lambda: script.left("scale-application"), lambda left: left < 3, 10)
        stateful_sets.put("producer", {}, replicas=1)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(scale_down)
        patience.remove_units(script.juju, "producer")

    assert script.left("scale-application") == 1


def test_a_pod_that_never_goes_is_named(tmp_path: Path, stateful_sets: StatefulSets):
    script = Script(tmp_path, seconds=0.4)
    script.answer("remove-unit", None)
    script.answer("scale-application", None)
    script.answer("status", ALONE)
    stateful_sets.put("producer", {}, replicas=2)

    expected = "pods of producer: expected 1, as Juju has units, observed 2"
    with pytest.raises(TimeoutError, match=expected):
        patience.remove_units(script.juju, "producer")


def test_a_pod_that_goes_is_not_scaled_down_again(script: Script, stateful_sets: StatefulSets):
    script.answer("remove-unit", None)
    script.answer("status", TOO_MANY, ALONE)
    stateful_sets.put("producer", {}, replicas=1)

    patience.remove_units(script.juju, "producer")

    assert script.left("status") == 1
    assert script.left("scale-application") == 0


def test_a_unit_that_is_not_removed_is_named(tmp_path: Path):
    script = Script(tmp_path, seconds=0.4)
    script.answer("remove-unit", None)
    script.answer("status", TOO_MANY)

    with pytest.raises(TimeoutError, match="producer: expected 1 units, observed 2"):
        patience.remove_units(script.juju, "producer")


FAILED = {"workload-status": {"current": "error", "message": "hook failed"}}
ERROR = status(producer=app("producer", {"producer/0": unit() | FAILED}))


def test_an_error_that_juju_resolves_is_waited_for(script: Script):
    script.answer("status", ERROR, ERROR, ALONE)

    patience.settle(script.juju)

    assert script.left("status") == 1


def test_an_error_that_lasts_ends_the_wait(tmp_path: Path):
    script = Script(tmp_path, seconds=5)
    script.answer("status", ERROR)

    with pytest.raises(jubilant.WaitError, match="producer/0: hook failed"):
        patience.settle(script.juju)


def test_a_dying_relation_is_waited_for(script: Script):
    script.answer("status", RELATED, RELATED, ALONE)

    patience.wait_until_unrelated(script.juju, *DATA)

    assert script.left("status") == 1


def test_a_dying_cross_model_relation_is_waited_for(script: Script):
    consumer = status(scraper=app("scraper", related="producer"))
    script.answer("status", consumer, status(scraper=app("scraper")))

    patience.wait_until_unrelated(script.juju, *DATA)

    assert script.left("status") == 1


def test_a_relation_that_stays_is_named(tmp_path: Path):
    script = Script(tmp_path, seconds=0.1)
    script.answer("status", RELATED)

    with pytest.raises(TimeoutError, match="producer:data: expected no relation with scraper:data"):
        patience.wait_until_unrelated(script.juju, *DATA)


def task(return_code: int, message: str = "") -> dict[str, Any]:
    state = "failed" if message else "completed"
    results = {"return-code": return_code}
    return {"scraper/0": {"id": "7", "status": state, "message": message, "results": results}}


def test_an_action_runs_again_in_the_new_pod(script: Script):
    script.fail("run", "ERROR the following task failed: 7", task(-1, "terminated"))
    script.answer("run", task(0))

    assert patience.run(script.juju, "scraper/0", "probe").success


def test_an_action_that_juju_refuses_runs_later(script: Script):
    script.fail("run", 'ERROR unit "scraper/0" is not alive')
    script.answer("run", task(0))

    assert patience.run(script.juju, "scraper/0", "probe").success


def test_an_action_with_an_error_of_its_own_fails_at_once(script: Script):
    script.fail("run", "ERROR the following task failed: 7", task(1, "say which producer"))
    script.answer("run", task(0))

    with pytest.raises(jubilant.TaskError, match="say which producer"):
        patience.run(script.juju, "scraper/0", "probe")


def test_an_action_without_a_lasting_pod_fails_in_the_end(tmp_path: Path):
    script = Script(tmp_path, seconds=0.1)
    script.answer("run", task(-1, "terminated"))

    with pytest.raises(jubilant.TaskError, match="terminated"):
        patience.run(script.juju, "scraper/0", "probe")


def test_a_status_that_does_not_come_is_named(tmp_path: Path):
    script = Script(tmp_path, seconds=0.1)
    script.answer("status", ALONE)

    with pytest.raises(TimeoutError, match="expected blocked with 'trust', observed active"):
        patience.wait_for_status(script.juju, "producer", "blocked", "trust")
