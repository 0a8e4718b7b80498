"""A defect of Juju 4.0.15, by which the remote half of the demo cannot work.

When an application has several relations into one other model, only the first carries units and
data. The others are created on the offering side and stay empty.
"""

from collections.abc import Iterable

import jubilant

REASON = (
    "This controller does not deliver the second and later cross-model relations of an "
    "application, a defect of Juju 4.0.15. The producer does not learn who the remote scraper is, "
    "so the remote scraper stays denied."
)


def is_so(unit: jubilant.UnitInfo, endpoints: Iterable[str]) -> bool:
    """Return whether some cross-model relations of an offering unit carry units and others do not.

    Args:
        unit: the unit, in the model with the offer.
        endpoints: the unit's endpoints at which a remote application has joined a relation.
    """
    delivered = [_has_remote_units(unit, endpoint) for endpoint in endpoints]
    return any(delivered) and not all(delivered)


def _has_remote_units(unit: jubilant.UnitInfo, endpoint: str) -> bool:
    return any(
        related.in_scope and name.startswith("remote-")
        for relation in unit.relation_info
        if relation.endpoint == endpoint
        for name, related in relation.related_units.items()
    )
