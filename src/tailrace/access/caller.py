"""Who is calling: what runs belong to, what limits count by, and what is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from tailrace.access.grants import EVERYTHING, Grants
from tailrace.access.limits.options import Limits

__all__ = ["Caller", "anyone_at"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever sent a request, and may do what `grants` says until `expires`.

    `owner` is what runs belong to: `key:<name>` or `sub:<subject>`, None where nobody has said who they are. `name` is
    for limits and logs: the same, else `ip:<address>`. `expires` is when the credential ends, in Unix seconds. `limits`
    are the key's own, if it has any. `watches` is the one run that a share ticket was given for. `key` marks the API
    key that stands behind all this, if one does.
    """

    owner: str | None
    name: str
    address: str
    grants: Grants
    expires: float | None = None
    limits: Limits | None = None
    watches: str | None = None
    key: str = ""

    @property
    def is_admin(self) -> bool:
        """Whether what belongs to others is this caller's too. Nobody who has not said who they are is that."""
        return self.owner is not None and self.grants.may("admin")


@lru_cache(maxsize=4096)  # where nobody has to say who they are, each request needs one
def anyone_at(address: str) -> Caller:
    """Whoever calls from `address` where nobody has to say who they are: they may do everything in their own name."""
    return Caller(owner=None, name=f"ip:{address}", address=address, grants=EVERYTHING)
