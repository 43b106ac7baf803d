"""The address of a store, as settings and `Tailrace(...)` take it: which kind, and where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tailrace.errors import SettingsError
from tailrace.log.redis_address import EXPECTED, SCHEMES, RedisAddress

__all__ = ["StoreAddress"]

_EXPECTED = f"expected memory://, sqlite:///relative/path.db, sqlite:////absolute/path.db, {EXPECTED}"


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where logs live. `path` is a file's, relative to the working directory or absolute; empty elsewhere."""

    kind: Literal["memory", "sqlite", "redis"]
    path: str = ""
    redis: RedisAddress | None = None
    """Which servers, where `kind` is "redis"."""

    @classmethod
    def parse(cls, url: str) -> StoreAddress:
        """Read a store's URL. Raises `SettingsError` that says what was expected, and shows no password."""
        scheme, separator, rest = url.partition("://")
        if url == "memory://":
            return cls("memory")
        if separator and scheme in SCHEMES:
            return cls("redis", redis=RedisAddress.parse(url))
        # After the two slashes would stand a host, as in any URL; the path begins behind the third.
        path = rest.removeprefix("/")
        if (scheme, separator) != ("sqlite", "://") or path == rest or not path.strip("/"):
            raise SettingsError(f"{_EXPECTED}; got {_masked(url)!r}")
        if set(path) & set("?#\0") or path.startswith(":memory:"):
            raise SettingsError(f"{_EXPECTED}; a file's path, without parameters, got {_masked(url)!r}")
        return cls("sqlite", path)

    @property
    def shared(self) -> bool:
        """Whether several processes can use it at the same time."""
        return self.kind == "redis"

    @property
    def shown(self) -> str:
        """The address as a message may show it, without a password."""
        if self.redis is not None:
            return self.redis.shown
        return "memory://" if self.kind == "memory" else f"sqlite:///{self.path}"


def _masked(url: str) -> str:
    return re.sub(r"(//|:).*@", r"\1****@", url, flags=re.DOTALL)
