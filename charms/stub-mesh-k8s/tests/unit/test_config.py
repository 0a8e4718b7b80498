"""Which labels may be given, and how."""

import pytest

import config


@pytest.mark.parametrize(
    ("option", "labels"),
    [
        ("istio.io/dataplane-mode=ambient", {"istio.io/dataplane-mode": "ambient"}),
        ("a=1, b=2", {"a": "1", "b": "2"}),
        ("empty=", {"empty": ""}),
        ("a" * 63 + "=" + "b" * 63, {"a" * 63: "b" * 63}),
    ],
)
def test_labels_of_kubernetes_are_taken(option: str, labels: dict[str, str]):
    assert config.parse_labels(option) == labels


@pytest.mark.parametrize(
    "option",
    [
        "",
        "ambient",
        "a=1,",
        "=1",
        "a=b=c",
        "-a=1",
        "a=-1",
        "a b=1",
        "a/b/c=1",
        "Upper.example/a=1",
        "/a=1",
        "a" * 64 + "=1",
        "a=" + "b" * 64,
    ],
)
def test_what_is_no_label_is_refused_and_named(option: str):
    with pytest.raises(ValueError, match="is no label of Kubernetes as key=value"):
        config.parse_labels(option)
