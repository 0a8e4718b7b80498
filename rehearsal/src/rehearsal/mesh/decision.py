"""The decision of the proxy on a call, and the reason for it in words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_DENIED = "rbac_access_denied"
_POLICY = re.compile(r"matched_policy\[(?P<name>.*?)(\[\d+\])?\]$")
_KINDS = {"pod": "pod", "service": "Service"}


@dataclass(frozen=True)
class Decision:
    """The decision of a listener on a call, from the fields of the access log.

    Attributes:
        listener: `service/<namespace>/<name>/<port>`, or the same with `pod`.
        principal: the identity of the caller; empty if it has none.
        details: the reason for the answer, as Envoy has it.
        network_policy: the NetworkPolicy that allowed; empty if none did.
        policy: the AuthorizationPolicy that allowed; empty if none did.
    """

    listener: str
    principal: str
    details: str
    network_policy: str
    policy: str

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> "Decision":
        """Read a line of the access log, or the headers of an answer to a question."""
        values = {name: fields.get(name) for name in cls.__dataclass_fields__}
        return cls(**{n: "" if v in (None, "-") else str(v) for n, v in values.items()})

    @property
    def verdict(self) -> str:
        """The word for the decision."""
        return "denied" if self.details.startswith(_DENIED) else "allowed"

    @property
    def target(self) -> str:
        """The Service or pod that was called."""
        kind, _, rest = self.listener.partition("/")
        return f"{_KINDS.get(kind, kind)} {rest.rpartition('/')[0].partition('/')[2]}"

    @property
    def caller(self) -> str:
        """The identity of the caller, as a policy names it."""
        return self.principal.removeprefix("spiffe://") or "a caller without an identity"

    @property
    def reason(self) -> str:
        """The policy that decided, or the lack of one, with the caller and the target."""
        call = f"{self.caller} on {self.target}"
        if self.verdict == "denied":
            return self.denial(call)
        return (
            f"{self.policies} allows {call}" if self.policies else f"no policy is for {self.target}"
        )

    def denial(self, call: str) -> str:
        """Return the policy that denied a call, or the lack of one that allows it."""
        if not self.network_policy:
            return f"no NetworkPolicy allows {call}"
        match = _POLICY.search(self.details)
        if match is None or match["name"] == "none":
            return f"no policy allows {call}"
        return f"policy {match['name']} denies {call}"

    @property
    def policies(self) -> str:
        """The policies that allowed; empty if none is for the target."""
        isolated = self.network_policy not in ("", "not isolated")
        names = [self.policy, self.network_policy] if isolated else [self.policy]
        return " and ".join(f"policy {name.partition('[')[0]}" for name in names if name)
