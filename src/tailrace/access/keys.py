"""API keys: made here, kept as hashes by whoever runs the server.

A key has 256 random bits. There is nothing to guess, so that a plain SHA-256 keeps it as well as a slow hash would
keep a password, at a microsecond for each request.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tailrace.access.grants import Grants
from tailrace.access.limits.options import Limits

__all__ = ["PREFIX", "ApiKey", "ApiKeys", "hash_of", "new_key"]

PREFIX: Final = "tr_"
"""What our keys begin with, so that a scanner of repositories and logs finds one that was lost there."""

_BYTES: Final = 32


def new_key() -> str:
    """Make a key."""
    return PREFIX + secrets.token_urlsafe(_BYTES)


def hash_of(key: str) -> str:
    """What the settings hold of a key, as `sha256:<hex>`."""
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is known of a key: whose it is, the SHA-256 of it, and what it may do."""

    name: str
    digest: bytes
    grants: Grants
    limits: Limits | None = None

    @property
    def mark(self) -> str:
        """What a ticket says of the key behind it: enough to find it among the others, too little to be it."""
        return self.digest.hex()[:16]


class ApiKeys:
    """The keys that a server accepts. Several may have one name, so that one can be replaced without a break."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._by_digest = {key.digest: key for key in keys}
        self._by_mark = {key.mark: key for key in self._by_digest.values()}

    def __len__(self) -> int:
        return len(self._by_digest)

    def find(self, presented: str) -> ApiKey | None:
        """The key that somebody presents, if it is one of these."""
        digest = hashlib.sha256(presented.encode(errors="surrogateescape")).digest()
        found = self._by_digest.get(digest)
        # How long the look-up takes tells something of a hash, and nothing of a key; the comparison tells nothing.
        return found if found is not None and hmac.compare_digest(found.digest, digest) else None

    def marked(self, mark: str) -> ApiKey | None:
        """The key that a ticket was given for, while it is accepted."""
        return self._by_mark.get(mark)
