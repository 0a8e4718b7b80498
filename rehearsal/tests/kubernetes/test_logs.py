"""The logs of containers, from the files that workloads write."""

from collections.abc import Iterator

import pytest

from rehearsal.kubernetes.server import Server
from rehearsal.kubernetes.store import Store
from tests.kubernetes.kube import Kube, Pod, RefusedError
from tests.kubernetes.objects import container, pod


@pytest.fixture
def server(store: Store) -> Iterator[Server]:
    """A server that has the log of the container `workload` of one pod."""
    written = {"two-0": "first\nsecond\n", "one-0": ""}

    def logs(namespace: str, pod: str, container: str) -> str | None:
        return written[pod] if (namespace, container) == ("demo", "workload") else None

    server = Server(store, "127.0.0.1", 0, logs)
    server.start()
    store.put(pod("one-0", "demo"))
    store.put(pod("two-0", "demo", container("charm"), container("workload")))
    yield server
    server.stop()


def log(kube: Kube, pod: str, **query: str) -> str:
    answer = kube.http.get(f"{kube.path(Pod, pod)}/log", params=query)
    if not answer.is_success:
        raise RefusedError(answer)
    return answer.text


def test_a_container_has_a_log_of_its_own(admin: Kube) -> None:
    assert log(admin, "two-0", container="workload") == "first\nsecond\n"
    assert log(admin, "one-0") == ""


@pytest.mark.parametrize(
    ("count", "left"), [("0", ""), ("1", "second\n"), ("9", "first\nsecond\n")]
)
def test_its_last_lines_are_enough(admin: Kube, count: str, left: str) -> None:
    assert log(admin, "two-0", container="workload", tailLines=count) == left


@pytest.mark.parametrize(
    ("pod", "query", "code", "message"),
    [
        ("two-0", {}, 400, "must be specified for pod two-0, choose one of: [charm workload]"),
        ("two-0", {"container": "other"}, 400, "container other is not valid for pod two-0"),
        ("three-0", {}, 404, 'pods "three-0" not found'),
        ("one-0", {"tailLines": "x"}, 400, 'tailLines: Invalid value: "x"'),
        ("one-0", {"follow": "true"}, 501, "does not do logs with follow"),
        ("two-0", {"container": "charm"}, 501, "does not do the log of container charm"),
    ],
)
def test_an_unsupported_option_is_refused(
    admin: Kube, pod: str, query: dict[str, str], code: int, message: str
) -> None:
    with pytest.raises(RefusedError) as error:
        log(admin, pod, **query)

    assert error.value.code == code
    assert message in str(error.value)
