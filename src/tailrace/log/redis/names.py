"""Names that are taken once, across all instances: each a key that expires."""

from __future__ import annotations

from tailrace.log.redis.calls import Calls
from tailrace.log.redis.keys import Keys
from tailrace.log.redis.logs import milliseconds
from tailrace.log.redis.messages import decoded, encoded
from tailrace.log.redis.scripts import Scripts

__all__ = ["RedisCoordination"]


class RedisCoordination:
    """The names of a `RedisStore`, which is to be open."""

    def __init__(self, calls: Calls, keys: Keys, scripts: Scripts) -> None:
        self._calls = calls
        self._keys = keys
        self._scripts = scripts

    async def claim(self, name: str, value: str, seconds: float) -> str:
        """Take `name` for `value`, unless it is taken."""
        key = self._keys.name(name)
        return decoded(await self._calls.call(self._scripts.claim, (key,), encoded(value), milliseconds(seconds)))

    async def lookup(self, name: str) -> str | None:
        """What `name` was taken for."""
        key = self._keys.name(name)
        taken = await self._calls.call(None, (key,), "GET", key)
        return None if taken is None else decoded(taken)

    async def extend(self, name: str, seconds: float) -> None:
        """Keep `name` for `seconds` from now."""
        key = self._keys.name(name)
        await self._calls.call(None, (key,), "PEXPIRE", key, milliseconds(seconds))

    async def release(self, name: str, value: str | None = None) -> None:
        """Give `name` up; with `value` only if that is what it is still taken for."""
        key = self._keys.name(name)
        if value is None:
            await self._calls.call(None, (key,), "DEL", key)
        else:
            await self._calls.call(self._scripts.release, (key,), encoded(value))
