"""The Lua that runs in Redis: each script is what has to be one step, and says why.

A script may be performed twice, since a lost reply does not tell whether it was; and late, since a server that was
frozen goes on with what it had received, though we have given up the connection. Every one is written so that a
repeat changes nothing, also when others came between. On a cluster their messages go to the subscribers of the log's
own shard.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["Script", "Scripts"]


@dataclass(frozen=True, slots=True)
class Script:
    """A script, the digest that Redis knows it by once it was loaded, and whether it always writes."""

    source: str
    digest: str
    writes: bool = True


class Scripts:
    """The scripts, for servers that are a cluster (`sharded`) or not."""

    def __init__(self, *, sharded: bool) -> None:
        self.append = _script("append", of_a_log=True, sharded=sharded)
        self.create = _script("create", of_a_log=True, sharded=sharded)
        self.drop = _script("drop", of_a_log=True, sharded=sharded)
        self.look = _script("look", of_a_log=True, sharded=sharded)
        self.publish = _script("publish", of_a_log=True, sharded=sharded)
        self.renew = _script("renew", of_a_log=True, sharded=sharded)
        self.seal = _script("seal", of_a_log=True, sharded=sharded)
        self.snapshot = _script("snapshot", of_a_log=True, sharded=sharded)
        self.beat = _script("beat", sharded=sharded)
        self.join = _script("join", sharded=sharded)
        self.send = _script("send", sharded=sharded)
        self.limit = _script("limit", sharded=sharded)
        self.claim = _script("claim", sharded=sharded)
        self.release = _script("release", sharded=sharded)


_WRITING = frozenset({"append", "beat", "create", "drop", "join", "publish", "seal", "send"})
"""The scripts that a server which takes nothing refuses."""


@cache
def _script(name: str, *, of_a_log: bool = False, sharded: bool) -> Script:
    source = (_text("log") if of_a_log else "") + _text(name)
    if sharded:
        source = source.replace("'PUBLISH'", "'SPUBLISH'")
    digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(source, digest, writes=name in _WRITING)


def _text(name: str) -> str:
    return (files(__package__) / "lua" / f"{name}.lua").read_text()
