"""The versions of Juju that the rehearsal supports, and their differences."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class JujuVersion:
    """A version of Juju.

    Attributes:
        number: the number that the command, models and agents show.
        alias_per_relation: whether each cross-model relation has an alias of its own in the
            offering model. Otherwise all relations of an application over one offer share one.
        address_keys: the keys of a unit databag in which Juju publishes the ingress address.
        names_dying: whether Juju, refusing to add a relation again, says that it is dying.
        removes_stuck_relations: whether Juju removes a dying relation whose last unit is dying and
            in error or blocked.
    """

    number: str
    alias_per_relation: bool
    address_keys: tuple[str, ...]
    names_dying: bool
    removes_stuck_relations: bool


JUJU_3_6 = JujuVersion(
    number="3.6.28",
    alias_per_relation=False,
    address_keys=("ingress-address", "private-address"),
    names_dying=True,
    removes_stuck_relations=False,
)
JUJU_4 = JujuVersion(
    number="4.0.15",
    alias_per_relation=True,
    address_keys=("ingress-address",),
    names_dying=False,
    removes_stuck_relations=True,
)
VERSIONS: Mapping[str, JujuVersion] = {"3.6": JUJU_3_6, "4": JUJU_4}
