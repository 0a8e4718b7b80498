"""What comes next where Juju leaves it open: always the same, or by a seed in one of many ways."""

import random
from collections.abc import Iterable, Sequence

from rehearsal.juju.hooks.messages import Hook
from rehearsal.juju.model.state import Unit


class EventOrder:
    """Chooses between units that wait, and between hooks of a unit that may come next.

    Args:
        seed: for an order of its own, as far as time lets it be repeated. Without one, the unit
            that has waited longest is next, with the first of its hooks.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed) if seed is not None else None  # noqa: S311 - not a secret

    def units(self, units: Iterable[Unit]) -> list[Unit]:
        """Return units in the order in which they may run a hook."""
        waiting = sorted(units, key=lambda unit: unit.turn)
        if self._random:
            self._random.shuffle(waiting)
        return waiting

    def hook(self, candidates: Sequence[Hook]) -> Hook | None:
        """Return one of the hooks; None if there is none."""
        if not candidates:
            return None
        return self._random.choice(candidates) if self._random else candidates[0]

    def happens(self) -> bool:
        """Return whether something happens that may or may not on Juju; never without a seed."""
        return self._random is not None and self._random.random() < 0.5
