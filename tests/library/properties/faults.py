"""What a Kubernetes API does when it fails, request by request."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hypothesis import strategies as st

from rehearsal.kubernetes.requests import Answer, Request
from rehearsal.kubernetes.server import Handle
from rehearsal.kubernetes.status import StatusError

# How long a client waits that is to see a timeout, in seconds.
PATIENCE = 0.4


@dataclass(frozen=True)
class Fault:
    """One request that fails: before it took effect, or after.

    Args:
        what: a code of HTTP, or what happens in place of an answer.
        after: whether it took effect all the same.
    """

    what: int | Literal["drop", "timeout"]
    after: bool

    def answer(self, request: Request, handle: Handle) -> Answer:
        """Fail as this fault does."""
        if self.after:
            handle(request)
        if isinstance(self.what, int):
            raise StatusError(self.what, "Reason", f"the reason for {self.what}")
        if self.what == "timeout":
            time.sleep(2 * PATIENCE)
        raise ConnectionError


class Faults:
    """Stands around a server: request by request, the fault that is next, or none.

    Args:
        plan: for each request, in order, how it fails; None where it does not. Later ones do not.
    """

    def __init__(self, plan: Sequence[Fault | None]) -> None:
        self._left = list(plan)
        self.timeouts = any(fault and fault.what == "timeout" for fault in plan)

    def __call__(self, request: Request, handle: Handle) -> Answer:
        fault = self._left.pop(0) if self._left else None
        return fault.answer(request, handle) if fault else handle(request)


_FAULT = st.builds(
    Fault, st.sampled_from([403, 404, 409, 429, 500, 503, "drop", "timeout"]), st.booleans()
)
_LASTING = st.sampled_from([403, 503]).map(lambda code: [Fault(code, after=False)] * 50)
PLANS = st.just([]) | st.lists(st.none() | _FAULT, min_size=1, max_size=6) | _LASTING
