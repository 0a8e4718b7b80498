"""Two libraries, turn by turn on one machine, and how they compare."""

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Runs something once and returns how long it took, in seconds.
Timed = Callable[[], float]

OURS, PUBLISHED = "charms.istio_beacon_k8s.v0.service_mesh", "charmlibs.interfaces.service_mesh"


@dataclass(frozen=True)
class Times:
    """How long something took, each time, in seconds."""

    seconds: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        """Return the median and how far the middle half is spread, in milliseconds."""
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return f"{self.median * 1000:.1f} ±{(high - low) * 500:.1f}"


def once(action: Callable[[], object]) -> float:
    """Run something here, without the garbage collector, and return how long it took."""
    gc.collect()
    gc.disable()
    started = time.perf_counter()
    action()
    taken = time.perf_counter() - started
    gc.enable()
    return taken


def in_turn(times: int, *timed: Timed) -> list[Times]:
    """Run each so many times, in turn, after once for warming up."""
    for each in timed:
        each()
    rounds = [[each() for each in timed] for _ in range(times)]
    return [Times(taken) for taken in zip(*rounds, strict=True)]
