"""Whether Redis lets this process do all that the store does, found out before anybody relies on it.

A user of Redis 7 may use no channel until it is given some: without a look, such a store would open, and then
fail at whatever is asked of it.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from tailrace.errors import StoreError, StoreUnavailable
from tailrace.log.redis.calls import Call
from tailrace.log.redis.keys import Keys
from tailrace.log.redis.scripts import Scripts
from tailrace.log.redis.servers import Servers

__all__ = ["check_rights"]

_MOMENT: Final = 10_000
"""Milliseconds that is kept what is written for it, should nobody come to delete it."""
_CATEGORIES: Final = "+@read +@write +@scripting +@pubsub +@connection +time"


async def check_rights(servers: Servers, keys: Keys, scripts: Scripts) -> None:
    """Do once what the store does. Raises `StoreError` that says which rights are missing.

    What else goes wrong is no matter of rights, and shows when the store is used.
    """
    log = f"look-{secrets.token_hex(8)}"
    try:
        for refused in (*await _write(servers, keys, scripts, log), *await _listen(servers, keys.channel(log))):
            if isinstance(refused, NoPermissionError | AuthenticationError):
                raise StoreError(_told(servers, keys, refused))
    except StoreUnavailable:
        return


async def _write(servers: Servers, keys: Keys, scripts: Scripts, log: str) -> list[Any]:
    """Append to a log and a set of its own, read them, and delete them; ask of a caller that nobody is."""
    own, others = keys.log(log), keys.watchers(log)
    head, records, *_ = own
    publish = Call(scripts.publish, own, (log, log, "", 0, 1, 1, _MOMENT, _MOMENT, "", "", _MOMENT, "0:0:"))
    calls = (
        publish.command(load=True),
        Call(scripts.join, (others,), (_MOMENT, "")).command(load=True),
        Call(scripts.limit, (keys.quota(log),), (log, 1, 0, 0, 0, 1, "", 0, 0, 0, 0)).command(load=True),
        *[
            Call(None, words[1:2], words).command()
            for words in (("XRANGE", records, "-", "+"), ("HGET", head, "epoch"))
        ],
        *[Call(None, words[1:2], words).command() for words in (("SMEMBERS", others), ("DEL", *own[:3], others))],
        Call(None, (keys.quota(log),), ("DEL", keys.quota(log))).command(),
    )
    return await servers.run(calls)


async def _listen(servers: Servers, channel: str) -> list[Any]:
    """Subscribe to a channel, on a connection of its own."""
    connection = await servers.dial(servers.shard_of(channel), lambda push: None)
    try:
        return await connection.send([("SSUBSCRIBE" if servers.sharded else "SUBSCRIBE", channel)])
    finally:
        await connection.close("it was seen whether one may subscribe")


def _told(servers: Servers, keys: Keys, error: RedisError) -> str:
    categories = f"{_CATEGORIES} +cluster|slots" if servers.sharded else _CATEGORIES
    needed = f"~{keys.prefix}:* &{keys.prefix}:* {categories}"
    said = str(error).partition(" script: ")[0]
    return f"cannot use {servers.shown}: its user lacks rights; ACL SETUSER … {needed} gives them ({said})"
