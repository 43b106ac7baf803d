"""A run as the clients of some dialect read it: its records become their stream, or the whole answer.

Where the run carries the frames of an upstream that speaks the dialect, those are handed on; else the
stream is written from what the records say. Which of the two is told by the records, so that every
instance, and every repetition, shows the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from tailrace.chat.dialects import DIALECTS, SPOKEN
from tailrace.chat.dialects.writing import Dialect, Head
from tailrace.errors import ErrorType, ProviderError, RunError
from tailrace.runs.frames import HIDDEN, frame_of
from tailrace.runs.native import deltas_of_record, error_of_record
from tailrace.sse import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tailrace.chat.dialects.writing import Accumulator, Relay, Spoken, Writer
    from tailrace.log import Position, Record
    from tailrace.runs.deltas import Delta

__all__ = ["DialectRenderer", "Whole", "pack", "spoken", "unpack"]

Known = TypeVar("Known")

_BEFORE = frozenset({"start"})
"""Records that tell nothing of how the answer is said."""
_SAID = frozenset({"", "thinking", "tool", HIDDEN})
"""Records of the answer itself, which are nearly all."""


class _View(msgspec.Struct, frozen=True):
    dialect: str
    head: Head


_read_view = msgspec.json.Decoder(_View).decode


def pack(dialect: str, head: Head) -> str:
    """Return what a run keeps of how its caller is answered; the run's id is not part of it."""
    return msgspec.json.encode(_View(dialect, replace(head, run="") if head.run else head)).decode()


def unpack(run: str, view: str) -> tuple[Dialect, Head]:
    """Return the dialect and the head that a run was started with.

    Raises:
        ValueError: it was not started by a client of any of these dialects.
    """
    return _unpacked(DIALECTS, run, view)


def spoken(run: str, view: str) -> tuple[Spoken, Head]:
    """Return the same of a run that was started in whatever clients speak. Raises as `unpack`."""
    return _unpacked(SPOKEN, run, view)


def _unpacked(dialects: Mapping[str, Known], run: str, view: str) -> tuple[Known, Head]:
    try:
        known = _read_view(view)
        return dialects[known.dialect], replace(known.head, run=run)
    except (msgspec.DecodeError, KeyError) as error:
        raise ValueError("this run was not asked for in a dialect that is known here") from error


class _Telling:
    """One way through a run's records, to the bytes that one client gets for each."""

    def __init__(self, dialect: Spoken, head: Head) -> None:
        self._writer: Writer = dialect.writer(head)
        self._relay: Relay | None = dialect.relay(head) if isinstance(dialect, Dialect) else None
        self._relaying: Relay | None = None
        self._begun = False
        self._ended = False

    @property
    def keep_alive(self) -> bytes:
        """What may be sent now to show that somebody is there."""
        return self._teller.keep_alive

    @property
    def _teller(self) -> Writer | Relay:
        return self._writer if self._relaying is None else self._relaying

    def tell(self, event: str, data: str) -> bytes:
        """Return the blocks of the next record."""
        if self._ended or event in _BEFORE:
            return b""
        frame, relay = frame_of(data), self._relaying
        if relay is not None and frame is not None and event in _SAID:
            return relay.write(_event_of(frame))
        if not self._begun:
            self._begun = True
            relay = self._relaying = self._relay if frame is not None else None
        if event == "error":
            return self.fail(error_of_record(data))
        if event == "restart":
            return self.fail(_broken("the provider's answer broke, and began anew"))
        self._ended = event == "finish"
        if relay is None:
            return self._writer.write(deltas_of_record(event, data))
        if frame is not None:
            return relay.write(_event_of(frame))
        return self.fail(_broken("the provider's answer ended without its end")) if self._ended else b""

    def fail(self, error: RunError) -> bytes:
        """Return the dialect's explicit error, which ends the stream."""
        self._ended = True
        return self._teller.fail(error)

    def broken(self) -> bytes:
        """Return the end of a stream that lacks something; nothing where it has its end."""
        return b"" if self._ended else self.fail(_broken("a part of this answer is no longer kept"))


class DialectRenderer:
    """Shows a run to ONE reader, from its first record on; `skip` drops the first events of its stream.

    A write that took only a part has some records rendered again. They are told once; what they came to is kept
    from the first record of the latest call on, since a reader never goes back behind that.
    """

    hides = False

    def __init__(self, dialect: Spoken, head: Head, skip: int = 0) -> None:
        self.dialect = dialect.name
        self._telling = _Telling(dialect, head)
        self._skip = skip
        self._told = 0  # the newest offset that was told
        self._kept: dict[int, bytes] = {}

    @property
    def heartbeat(self) -> bytes:
        """What the dialect has for it."""
        return self._telling.keep_alive

    def control(self, event: str, data: object, position: Position | None, retry: int | None) -> None:
        """Nothing of the hub's own: to these clients it would be a broken chunk."""

    def broken(self) -> bytes:
        """The explicit error, where a reader missed something."""
        return self._telling.broken()

    def render(self, epoch: str, records: Sequence[Record]) -> list[bytes]:
        """Return the blocks of each record."""
        first = records[0].offset if records else 0
        kept = self._kept = {offset: blocks for offset, blocks in self._kept.items() if offset >= first}
        tell = self._telling.tell
        for offset, event, data, _ in records:
            if offset > self._told:
                self._told = offset
                blocks = tell(event, data or "")
                kept[offset] = self._left(blocks) if self._skip and blocks else blocks
        return [kept.get(record.offset, b"") for record in records]

    def _left(self, blocks: bytes) -> bytes:
        """Return what is left of some blocks, of which the first may be known to the reader."""
        each = blocks.split(_BLANK)[:-1]
        skipped, self._skip = each[: self._skip], max(0, self._skip - len(each))
        return b"".join(block + _BLANK for block in each[len(skipped) :])


_BLANK = b"\n\n"


class Whole:
    """The whole answer of a run, for who wants no stream. Give it all records; then it is complete, or has an error."""

    def __init__(self, dialect: Dialect, head: Head) -> None:
        self.complete = False
        """The answer came to its end."""
        self.error: RunError | None = None
        """Why it did not, once that was told."""
        self._dialect = dialect
        self._head = head
        self._relayed: bool | None = None
        self._accumulator: Accumulator = dialect.accumulator()
        self._deltas: list[Delta] = []

    def add(self, records: Iterable[Record]) -> None:
        """Take the next records, in order."""
        for record in records:
            if record.data is not None and record.event not in _BEFORE:
                self._add(record.event, record.data)

    def _add(self, event: str, data: str) -> None:
        if event == "error":
            self.error = error_of_record(data)
            return
        if event == "restart":
            self.error = _broken("the provider's answer broke, and began anew")
            return
        frame = frame_of(data)
        if self._relayed is None:
            self._relayed = frame is not None
        if not self._relayed:
            self._deltas += deltas_of_record(event, data)
        elif frame is not None:
            self._accumulator.add(_event_of(frame))
        if event == "finish":
            self.complete = self.error is None

    def whole(self) -> dict[str, Any]:
        """Return the answer's JSON."""
        return self._accumulator.whole() if self._relayed else self._dialect.whole(self._head, self._deltas)


def _event_of(frame: tuple[str, str]) -> Event:
    """Return an upstream's event as it was read: it was looked at then, and to do so again takes four times as long."""
    event, data = frame
    return tuple.__new__(Event, (data, event or "message", "", None))


def _broken(message: str) -> ProviderError:
    return ProviderError(ErrorType.PROVIDER_INCOMPLETE, message)
