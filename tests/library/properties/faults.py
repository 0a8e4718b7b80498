"""Failures of a Kubernetes API, request by request."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hypothesis import strategies as st

from rehearsal.kubernetes.requests import Answer, Request
from rehearsal.kubernetes.server import Handle
from rehearsal.kubernetes.status import StatusError

# The timeout, in seconds, of a client that is meant to run into timeouts.
PATIENCE = 0.4


@dataclass(frozen=True)
class Fault:
    """A failure of one request, before or after the request takes effect.

    Args:
        kind: the HTTP status code of the answer, or the event in place of an answer.
        after: whether the request takes effect before it fails.
    """

    kind: int | Literal["drop", "timeout"]
    after: bool

    def answer(self, request: Request, handle: Handle) -> Answer:
        """Fail the request in the way of this fault."""
        if self.after:
            handle(request)
        if isinstance(self.kind, int):
            raise StatusError(self.kind, "Reason", f"the reason for {self.kind}")
        if self.kind == "timeout":
            time.sleep(2 * PATIENCE)
        raise ConnectionError


class Faults:
    """Wraps a server: each request meets the next fault of a plan, if there is one.

    Args:
        plan: the fault of each request in order, or None. Requests after the last do not fail.
    """

    def __init__(self, plan: Sequence[Fault | None]) -> None:
        self._left = list(plan)
        self.timeouts = any(fault and fault.kind == "timeout" for fault in plan)

    def __call__(self, request: Request, handle: Handle) -> Answer:
        fault = self._left.pop(0) if self._left else None
        return fault.answer(request, handle) if fault else handle(request)


_FAULT = st.builds(
    Fault, st.sampled_from([403, 404, 409, 429, 500, 503, "drop", "timeout"]), st.booleans()
)
_LASTING = st.sampled_from([403, 503]).map(lambda code: [Fault(code, after=False)] * 50)
PLANS = st.just([]) | st.lists(st.none() | _FAULT, min_size=1, max_size=6) | _LASTING
