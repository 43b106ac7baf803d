"""Which node of a cluster has which of the 16,384 slots, as far as is known."""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Sequence
from typing import Any, Final

from redis.exceptions import AskError, MovedError

from tailrace.log.redis.connection import Endpoint

__all__ = ["NOBODY", "Slots", "redirected", "slot_of"]

_COUNT: Final = 16384
NOBODY: Final = Endpoint("", 0)
"""Who has a slot that nobody has."""


def slot_of(key: str) -> int:
    """The slot of a key: that of what stands in its first braces, if anything does."""
    raw = key.encode()
    begin = raw.find(b"{") + 1
    end = raw.find(b"}", begin)
    return crc_hqx(raw[begin:end] if 0 < begin < end else raw, 0) % _COUNT


class Slots:
    """The map. `changes` counts how often it became another."""

    def __init__(self) -> None:
        self._owners = [NOBODY] * _COUNT
        self.changes = 0

    def __getitem__(self, slot: int) -> Endpoint:
        return self._owners[slot]

    @property
    def masters(self) -> set[Endpoint]:
        """Everybody who has a slot."""
        return set(self._owners) - {NOBODY}

    def move(self, error: MovedError, asked: Endpoint) -> None:
        """Learn from MOVED where one slot is; `asked` is who said so."""
        owner = redirected(error, asked)
        if self._owners[error.slot_id] != owner:
            self._owners[error.slot_id] = owner
            self.changes += 1

    def read(self, said: Sequence[Any], asked: Endpoint) -> None:
        """Learn all from the reply to CLUSTER SLOTS."""
        owners = [NOBODY] * _COUNT
        for first, last, master, *_ in said:
            # A node that does not know by which name it is reached says none: then it is the one that was asked.
            owner = Endpoint(master[0].decode() if master[0] else asked.host, int(master[1]))
            owners[first : last + 1] = [owner] * (last + 1 - first)
        if owners != self._owners:
            self._owners = owners
            self.changes += 1


def redirected(error: AskError, asked: Endpoint) -> Endpoint:
    """Where MOVED or ASK points; an empty host is that of who says so."""
    return Endpoint(error.host or asked.host, int(error.port))
