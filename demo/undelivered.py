"""A defect of Juju 4.0.15, by which the remote half of the demo cannot work.

When an application has several relations into one other model, only the first carries units and
data. The others are created on the offering side and stay empty.
"""

from collections.abc import Iterable, Mapping, Set

REASON = (
    "This controller does not deliver the second and later cross-model relations of an "
    "application, a defect of Juju 4.0.15. The producer does not learn who the remote scraper is, "
    "so the remote scraper stays denied."
)


def is_so(in_scope: Mapping[str, Set[str]], endpoints: Iterable[str]) -> bool:
    """Return whether some cross-model relations of an offering unit carry units and others do not.

    Args:
        in_scope: the units in the scope of the offering unit's relations, by its endpoint.
        endpoints: the endpoints at which a remote application has joined a relation.
    """
    delivered = [_has_remote_units(in_scope.get(endpoint, set())) for endpoint in endpoints]
    return any(delivered) and not all(delivered)


def _has_remote_units(units: Iterable[str]) -> bool:
    return any(name.startswith("remote-") for name in units)
