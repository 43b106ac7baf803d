"""What a server's error replies mean, as redis-py's exceptions, which know most of them by name.

Three kinds are told apart: `AWAY` (this is not the server to talk to, or not yet: the connection is dropped),
`REFUSALS` (the right server, but it takes nothing at the moment, or not from us) and the rest, which are the
caller's matter.
"""

from __future__ import annotations

from typing import Final

from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

__all__ = ["AWAY", "REFUSALS", "NotNow", "TryAgain", "error_of"]


class NotNow(ResponseError):
    """The server is the right one, and refuses for now: out of memory, disk trouble, a slot on its way elsewhere."""


class TryAgain(NotNow):
    """Some keys of the command are here and some elsewhere, for a moment."""


AWAY: Final = (ReadOnlyError, BusyLoadingError, MasterDownError, ClusterDownError)
"""A master that was demoted, a server that loads its data, a cluster without a majority."""

REFUSALS: Final = (NotNow, AuthenticationError, NoPermissionError)
"""Rights that were taken away are given back as a full disk is cleared: nothing that was said may be lost meanwhile."""

_BY_CODE: Final[dict[str, type[RedisError]]] = {
    "ASK": AskError,
    "BUSY": NotNow,
    "CLUSTERDOWN": ClusterDownError,
    "LOADING": BusyLoadingError,
    "MASTERDOWN": MasterDownError,
    "MISCONF": NotNow,
    "MOVED": MovedError,
    "NOAUTH": AuthenticationError,
    "NOPERM": NoPermissionError,
    "NOREPLICAS": NotNow,
    "NOSCRIPT": NoScriptError,
    "OOM": NotNow,
    "READONLY": ReadOnlyError,
    "TRYAGAIN": TryAgain,
    "WRONGPASS": AuthenticationError,
}


_SCRIPT_MAY_NOT: Final = "ERR The user executing the script can't "
"""How the lack of a right shows where a script met it: no code of its own tells."""


def error_of(text: str) -> RedisError:
    """Make the exception of an error reply; its text is the whole reply, but for redirections, which are read."""
    code, _, rest = text.partition(" ")
    kind = _BY_CODE.get(code, ResponseError)
    if text.startswith(_SCRIPT_MAY_NOT):
        return NoPermissionError(text)
    # Before 7.0, what a command inside a script met stands in the middle of the script's own error.
    if kind is ResponseError and ": -" in text:
        kind = _BY_CODE.get(text.partition(": -")[2].partition(" ")[0], ResponseError)
    return kind(rest if issubclass(kind, AskError) else text)
