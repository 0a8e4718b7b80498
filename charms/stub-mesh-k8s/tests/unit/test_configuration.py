"""The option `labels`."""

import pytest

import configuration


@pytest.mark.parametrize(
    ("option", "labels"),
    [
        ("istio.io/dataplane-mode=ambient", {"istio.io/dataplane-mode": "ambient"}),
        ("a=1, b=2", {"a": "1", "b": "2"}),
        ("empty=", {"empty": ""}),
        ("a" * 63 + "=" + "b" * 63, {"a" * 63: "b" * 63}),
    ],
)
def test_labels_of_kubernetes_are_accepted(option: str, labels: dict[str, str]):
    assert configuration.parse_labels(option) == labels


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
def test_a_malformed_label_is_rejected(option: str):
    with pytest.raises(ValueError, match="is not a Kubernetes label, write it as key=value"):
        configuration.parse_labels(option)
