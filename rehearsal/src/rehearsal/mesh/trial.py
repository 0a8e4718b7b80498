"""Trial of policies: those that Envoy refuses are found, and closed until they change.

Envoy accepts or refuses the rules of all policies together, and does not name the policy at fault.
"""

from collections.abc import Callable, Sequence

from rehearsal.mesh.authorization import Policy
from rehearsal.mesh.inbound import TABLE
from rehearsal.mesh.proxy import RefusedError
from rehearsal.mesh.strict import Refusal

Put = Callable[[Sequence[Policy]], None]
"""Brings policies into force, or raises RefusedError."""


class Trial:
    """Brings policies into force, and remembers those that Envoy refused."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Policy, str]] = {}

    @property
    def refusals(self) -> list[Refusal]:
        """The refusals, in Envoy's own words."""
        return [
            Refusal("AuthorizationPolicy", name, f"Envoy refuses it: {words}")
            for name, (_, words) in self._found.items()
        ]

    def enforce(self, policies: Sequence[Policy], put: Put) -> None:
        """Bring policies into force, and close those that Envoy refuses.

        During the search for the policies at fault, each policy is closed for a while.

        Raises:
            RefusedError: Envoy refuses something else.
        """
        try:
            put(self._close(policies))
        except RefusedError as error:
            closed = [policy.closed() for policy in policies]
            if TABLE not in error.files or _refusal(put, closed) is not None:
                raise
            self._find(self._close(policies), put)
            put(self._close(policies))

    def _close(self, policies: Sequence[Policy]) -> list[Policy]:
        """Return the policies, with the known ones closed; forget those that have changed."""
        known = {name: policy for name, (policy, _) in self._found.items()}
        same = {each.full_name for each in policies if each == known.get(each.full_name)}
        self._found = {name: found for name, found in self._found.items() if name in same}
        return [each.closed() if each.full_name in same else each for each in policies]

    def _find(self, policies: Sequence[Policy], put: Put) -> None:
        """Find the policies that Envoy refuses, by halves, with all others closed."""

        def find(tried: range) -> dict[str, tuple[Policy, str]]:
            words = _refusal(put, [p if n in tried else p.closed() for n, p in enumerate(policies)])
            if words is None:
                return {}
            middle = len(tried) // 2
            found = find(tried[:middle]) | find(tried[middle:]) if middle else {}
            # Halves that Envoy accepts alone are at fault together.
            return found or {policies[n].full_name: (policies[n], words) for n in tried}

        self._found.update(find(range(len(policies))))


def _refusal(put: Put, policies: Sequence[Policy]) -> str | None:
    """Return Envoy's words if it refuses the policies, whether or not it refuses other things."""
    try:
        put(policies)
    except RefusedError as error:
        if TABLE in error.files:
            return error.words
    return None
