"""A map as the demo has it: allowed, denied and waiting callers of one producer."""

from mesh_map.accesses import derive
from mesh_map.model import Application, Call, Map, Model, Name, Policy, Relation, Snapshot

PRODUCER, SCRAPER = Name("demo", "producer"), Name("demo", "scraper")
OUTSIDER, REMOTE = Name("demo", "outsider"), Name("demo-remote", "scraper")
NO_RELATION = "no relation allows it: producer has no policy for outsider"


def application(
    name: Name, *, on_mesh: bool = True, status: str = "active", message: str = "", units: int = 1
) -> Application:
    """Return an application; all callers have the same charm."""
    charm = {"producer": "producer-k8s", "mesh": "mesh-k8s"}.get(name.app, "scraper-k8s")
    return Application(name, charm, units, on_mesh, status, message)


def relation(requirer: Name, endpoint: str, port: int, provider: Name = PRODUCER) -> Relation:
    """Return a relation between endpoints of the same name; its data names a port."""
    identity = "provide-cmr-mesh" if requirer.model != provider.model else ""
    return Relation(
        requirer, endpoint, provider, endpoint, provider.app, "http", identity, frozenset({port})
    )


def model(name: str, *applications: Application) -> Model:
    """Return a model with a mesh."""
    return Model(name, applications, (application(Name(name, "mesh"), on_mesh=False),))


RELATIONS = tuple(
    relation(caller, *endpoint)
    for caller in (SCRAPER, REMOTE)
    for endpoint in (("data", 8080), ("metrics", 9090))
)
POLICIES = (
    Policy(SCRAPER, PRODUCER, "GET :9090 /metrics"),
    Policy(SCRAPER, PRODUCER, ":9090", on_units=True),
    Policy(SCRAPER, PRODUCER, "GET :8080 /data"),
)
MODELS = (
    model(
        "demo",
        application(OUTSIDER),
        application(PRODUCER, units=2),
        application(SCRAPER),
    ),
    model("demo-remote", application(REMOTE)),
)
SNAPSHOT = Snapshot(MODELS, RELATIONS, frozenset(), POLICIES)


def denied(source: Name, method: str = "GET", path: str = "/data", reason: str = "") -> Call:
    """Return a call to the producer's port 8080 that was denied."""
    return Call(source, PRODUCER, "", method, 8080, path, "denied", reason, "12:00:00")


CALLS = (
    denied(OUTSIDER, reason=NO_RELATION),
    denied(SCRAPER, "POST"),
    denied(SCRAPER, path="/admin"),
)


def example() -> Map:
    """Return the map."""
    return derive(SNAPSHOT, CALLS)
