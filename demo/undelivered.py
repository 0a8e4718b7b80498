"""A defect of Juju 4.0.15, by which the remote half of the demo cannot work.

When an application has several relations into one other model, only the first carries units and
data. The others are created on the offering side and stay empty.
"""

from collections.abc import Iterable

import jubilant

from demo import patience

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
    return any(name.startswith("remote-") for name in patience.units_in_scope(unit, endpoint))
