"""The call that the action `explain` is about."""

from dataclasses import dataclass, field

from charms.istio_beacon_k8s.v0.service_mesh import PolicyTargetType


@dataclass(frozen=True)
class Call:
    """A request to an application through its Service, or to the address of one unit.

    The parameters of the action have the names of the fields, or of their aliases.

    Raises:
        ValueError: the source is a unit.
    """

    source: str = field(metadata={"alias": "from"})
    source_model: str = field(metadata={"alias": "model"})
    target: str = field(metadata={"alias": "to"})
    port: int
    method: str = "GET"
    path: str = "/"
    host: str = ""

    def __post_init__(self) -> None:
        app, of_unit, _ = self.source.partition("/")
        if of_unit:
            raise ValueError(
                f"from={self.source} is a unit, but the caller is an application: use from={app}"
            )

    @property
    def app(self) -> str:
        """The application that is called, or the Service by another name."""
        return self.target.partition("/")[0]

    @property
    def target_type(self) -> PolicyTargetType:
        """The type of the policies that Istio applies to the call."""
        return PolicyTargetType.unit if "/" in self.target else PolicyTargetType.app

    def pod_labels(self, app: str) -> dict[str, str]:
        """Return the labels of the pods that receive the call.

        Args:
            app: the application of the pods, which can differ from the name of their Service.
        """
        labels = {"app.kubernetes.io/name": app}
        _, of_unit, number = self.target.partition("/")
        if of_unit:
            labels["statefulset.kubernetes.io/pod-name"] = f"{app}-{number}"
            labels["apps.kubernetes.io/pod-index"] = number
        return labels
