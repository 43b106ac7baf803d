"""The address of a store, as settings and `Tailrace(...)` take it: which kind, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tailrace.errors import SettingsError

__all__ = ["StoreAddress"]

_EXPECTED = "expected memory://, sqlite:///relative/path.db or sqlite:////absolute/path.db"


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where logs live. `path` is a file's, relative to the working directory or absolute; empty in memory."""

    kind: Literal["memory", "sqlite"]
    path: str = ""

    @classmethod
    def parse(cls, url: str) -> StoreAddress:
        """Read a store's URL. Raises `SettingsError` that says what was expected."""
        scheme, separator, rest = url.partition("://")
        if scheme in {"redis", "rediss"}:
            raise SettingsError(f"{scheme}:// comes with a later release; {_EXPECTED}")
        if url == "memory://":
            return cls("memory")
        # After the two slashes would stand a host, as in any URL; the path begins behind the third.
        path = rest.removeprefix("/")
        if (scheme, separator) != ("sqlite", "://") or path == rest or not path.strip("/"):
            raise SettingsError(f"{_EXPECTED}, got {url!r}")
        if set(path) & set("?#\0") or path.startswith(":memory:"):
            raise SettingsError(f"{_EXPECTED}; a file's path, without parameters, got {url!r}")
        return cls("sqlite", path)
