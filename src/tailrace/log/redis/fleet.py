"""The instances on one Redis: their beats, their letters, what each produces, and who watches what.

A letter is read until the beat after it has said so, and has an id, so that it comes once though calls are repeated.
What an instance has ended is taken off its list with its next beat: a log that is listed and ended harms nobody.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tailrace.log.fleet import VIEWERS_KEPT, Beat, Roster
from tailrace.log.position import new_run_id
from tailrace.log.record import Entry
from tailrace.log.redis.calls import Call, Calls, Turn
from tailrace.log.redis.keys import Keys
from tailrace.log.redis.logs import Logs, milliseconds
from tailrace.log.redis.messages import decoded, encoded
from tailrace.log.redis.scripts import Scripts

__all__ = ["RedisFleet"]

_DAY: Final = milliseconds(86_400.0)
"""How long is kept what an instance renews while it lives, and another sees to when it is dead."""
_MAIL: Final = milliseconds(60.0)
"""How long a letter lies for an instance that reads none."""
_READ_KEPT: Final = 1000
"""Ids of letters that were read, lest one comes again whose sender's call was repeated."""
_LEAVING: Final = b"-"
"""Behind the count of an instance that is on its way out."""
_VIEWERS_KEPT: Final = milliseconds(VIEWERS_KEPT)
_LISTED: Final = 5000
"""Logs that are taken off the list in one call."""


class RedisFleet:
    """This process as one of the instances on its store, which is to be open."""

    def __init__(self, logs: Logs, calls: Calls, keys: Keys, scripts: Scripts) -> None:
        self.name = new_run_id()
        self.channel = keys.wake(self.name)
        """Where it is woken."""
        self._logs = logs
        self._calls = calls
        self._keys = keys
        self._scripts = scripts
        self._count = 0
        self._wake: Callable[[], None] | None = None
        self._read: OrderedDict[bytes, None] = OrderedDict()
        self._to_delete: list[bytes] = []
        self._ended: list[str] = []
        self._watched: set[str] = set()
        self._to_watch: list[str] = []

    # Beats and letters.

    async def beat(self, *, leaving: bool = False) -> Roster:
        """Give a sign of life, and take what has come."""
        self._count += 1
        # Taken by this beat, as another may begin before it is through.
        read, self._to_delete = self._to_delete, []
        ended, self._ended = self._ended[:_LISTED], self._ended[_LISTED:]
        to_watch, self._to_watch = self._to_watch[:_LISTED], self._to_watch[_LISTED:]
        sign = b"%d%b" % (self._count, _LEAVING if leaving else b"")
        keys = (self._keys.beats, self._keys.mail(self.name), self._keys.logs(self.name))
        calls = [Call(self._scripts.beat, keys, (self.name, sign, _DAY, *read))]
        if ended:
            calls.append(Call(None, keys[2:], ("SREM", keys[2], *ended)))
        calls += [self._watch(log) for log in to_watch if log in self._watched]
        try:
            beats, mail = (await self._calls.run(calls, turn=Turn.FLEET))[0]
        except BaseException:
            self._to_delete += read
            self._ended += ended
            self._to_watch += to_watch
            raise
        return Roster({name.decode(): _beat(said) for name, said in _pairs(beats)}, self._fresh(_pairs(mail)))

    def _fresh(self, letters: Sequence[tuple[bytes, bytes]]) -> Sequence[str]:
        fresh = []
        for name, letter in letters:
            if name not in self._read:
                self._read[name] = None
                fresh.append(decoded(letter))
            if name not in self._to_delete:
                self._to_delete.append(name)
        while len(self._read) > _READ_KEPT + len(self._to_delete):
            self._read.popitem(last=False)
        return fresh

    async def resign(self) -> None:
        """Take this instance off the roster."""
        await self.forget(self.name)

    async def forget(self, instance: str) -> None:
        """Take another instance off the roster."""
        keys = self._keys
        gone = ("DEL", keys.mail(instance), keys.logs(instance))
        off = Call(None, (keys.beats,), ("HDEL", keys.beats, instance))
        await self._calls.run((off, Call(None, (keys.beats,), gone)), turn=Turn.FLEET)

    async def send(self, instance: str, letter: str) -> None:
        """Leave a letter for an instance, and wake it."""
        keys = (self._keys.mail(instance), self._keys.wake(instance))
        words = (secrets.token_hex(8), encoded(letter), _MAIL)
        await self._calls.call(self._scripts.send, keys, *words, turn=Turn.FLEET)

    def on_wake(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when there may be letters."""
        self._wake = wake

    def woken(self) -> None:
        """Hear that there may be letters."""
        if self._wake is not None:
            self._wake()

    # What it produces.

    def note(self, log: str) -> Call:
        """The call that lists a log as produced here; made before the log begins, else nobody would end it."""
        return Call(self._scripts.join, (self._keys.logs(self.name),), (_DAY, log))

    def on_ended(self, log: str) -> None:
        """Have a log taken off the list, as it has its end."""
        self._ended.append(log)

    async def produced_by(self, instance: str) -> Sequence[str]:
        """The logs that an instance has created and not ended."""
        key = self._keys.logs(instance)
        return [decoded(log) for log in await self._calls.call(None, (key,), "SMEMBERS", key, turn=Turn.FLEET)]

    async def seal(
        self, log: str, epoch: str, entries: Sequence[Entry], keep: float | None, meta: str | None = None
    ) -> bool:
        """End a log that its producer will not end; whether it was this call."""
        sealed = await self._logs.seal(log, epoch, entries, keep, meta)
        self.on_ended(log)
        return sealed

    # Who watches.

    async def watch(self, log: str) -> None:
        """Say that somebody reads `log` here."""
        self._watched.add(log)
        await self._calls.run((self._watch(log),), turn=Turn.FLEET)

    def _watch(self, log: str) -> Call:
        return Call(self._scripts.join, (self._keys.watchers(log),), (_DAY, self.name))

    async def unwatch(self, log: str) -> None:
        """Say that nobody reads `log` here any more."""
        self._watched.discard(log)
        key = self._keys.watchers(log)
        await self._calls.call(None, (key,), "SREM", key, self.name, turn=Turn.FLEET)

    async def watchers(self, log: str) -> frozenset[str]:
        """The instances that somebody reads `log` on."""
        key = self._keys.watchers(log)
        names = await self._calls.call(None, (key,), "SMEMBERS", key, turn=Turn.FLEET)
        return frozenset([name.decode() for name in names])

    async def tell_viewers(self, said: Mapping[str, str]) -> None:
        """Say of each log who reads it here; an empty text: nobody."""
        calls = []
        for log, words in said.items():
            key = self._keys.viewers(log)
            told = ("HSET", key, self.name, encoded(words)) if words else ("HDEL", key, self.name)
            calls += [Call(None, (key,), told), Call(None, (key,), ("PEXPIRE", key, _VIEWERS_KEPT))]
        await self._calls.run(calls, turn=Turn.EVENTS)

    async def viewers(self, log: str) -> Mapping[str, str]:
        """What each instance says of who reads `log` there."""
        key = self._keys.viewers(log)
        said = _pairs(await self._calls.call(None, (key,), "HGETALL", key, turn=Turn.RUNS))
        return {name.decode(): decoded(words) for name, words in said}

    def on_restored(self) -> None:
        """Say once more, with the next beats, what is read here: a store that was away may have lost it."""
        self._to_watch = list(self._watched)


def _beat(said: bytes) -> Beat:
    return Beat(int(said.removesuffix(_LEAVING)), said.endswith(_LEAVING))


def _pairs(reply: Sequence[Any]) -> list[tuple[bytes, bytes]]:
    return list(zip(reply[::2], reply[1::2], strict=True))
