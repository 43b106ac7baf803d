"""Where a reader stands: the epoch of a log, and an offset in it.

An id on the wire is a position, `<epoch>-<offset>`. The epoch is a random name of one incarnation of
one log, so that a cursor from a history that was lost or deleted, or from another log, is recognised
instead of being taken for a place in this one. A run's epoch is its id.
"""

from __future__ import annotations

import re
import secrets
import struct
from typing import NamedTuple

__all__ = ["Position", "new_epoch", "new_run_id"]

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]

# At most 18 digits: an offset fits in 64 bits wherever it is stored. Digits are ASCII ones only.
_WIRE = re.compile(r"([A-Za-z0-9_]{1,64})-(0|[1-9][0-9]{0,17})", re.ASCII)


def _base62(value: int, digits: int) -> str:
    # Two digits at a time: each takes a division.
    text = ""
    for _ in range(digits // 2):
        value, pair = divmod(value, 3844)
        text += _PAIRS[pair]
    return text + _ALPHABET[value % 62] if digits % 2 else text


def new_epoch() -> str:
    """Name an incarnation of a channel: 47 random bits, short because every id carries them."""
    return _base62(secrets.randbits(47), 8)


def new_run_id() -> str:
    """Name a run: 128 random bits, since without auth the id is the right to read it."""
    # In two halves, each within a machine word: a third of the time that one large number takes.
    high, low = struct.unpack("QQ", secrets.token_bytes(16))
    return _base62(high, 11) + _base62(low, 11)


class Position(NamedTuple):
    """A place in a log: just after the record at `offset`. Offset 0 is before the first record."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        """The position as it stands in an `id:` field."""
        return f"{self.epoch}-{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """Read a position from a client; None where it is not one that a Tailrace server writes."""
        match = _WIRE.fullmatch(text)
        if match is None:
            return None
        return cls(match[1], int(match[2]))
