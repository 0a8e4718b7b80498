"""The order of events that Juju leaves open: always the same one, or one that a seed chooses."""

import random
from collections.abc import Iterable, Sequence

from rehearsal.juju.hooks.messages import Hook
from rehearsal.juju.model.state import Unit


class EventOrder:
    """Chooses between waiting units, and between the possible next hooks of a unit.

    Args:
        seed: chooses another order, repeatable as far as timing allows. Without a seed, the unit
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
        """Return one of the hooks, or None if there is none."""
        if not candidates:
            return None
        return self._random.choice(candidates) if self._random else candidates[0]

    def happens(self) -> bool:
        """Return whether an event happens that Juju leaves to chance; never without a seed."""
        return self._random is not None and self._random.random() < 0.5
