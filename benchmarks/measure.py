"""Measures two libraries on one machine, in turn."""

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# A function that runs something once and returns the duration in seconds.
Timed = Callable[[], float]

OURS, PUBLISHED = "charms.istio_beacon_k8s.v0.service_mesh", "charmlibs.interfaces.service_mesh"


@dataclass(frozen=True)
class Times:
    """The durations of several runs, in seconds."""

    seconds: Sequence[float]

    @property
    def median(self) -> float:
        """The median, in seconds."""
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        """Return the median and half the range of the middle half, in milliseconds."""
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return f"{self.median * 1000:.1f} ±{(high - low) * 500:.1f}"


def once(action: Callable[[], object]) -> float:
    """Run an action without the garbage collector, and return its duration."""
    gc.collect()
    gc.disable()
    started = time.perf_counter()
    action()
    taken = time.perf_counter() - started
    gc.enable()
    return taken


def in_turn(times: int, *timed: Timed) -> list[Times]:
    """Run each function this number of times, in turn, after one run to warm up."""
    for each in timed:
        each()
    rounds = [[each() for each in timed] for _ in range(times)]
    return [Times(taken) for taken in zip(*rounds, strict=True)]
