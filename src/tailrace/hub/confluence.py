"""Several logs as one: what comes in any of them, in one order, for all who read the same set.

A confluence is a tail that other tails flow into. Its own offsets count what came and mean nothing outside of this
process: what its readers get as ids are the positions of all its logs. So at its head a reader of three logs costs
what a reader of one does: each event is wrapped, rendered and joined once for all of them.

It holds only what is new. Who stands further back than that, for having been away or slow, is led to its head log by
log, which is `gathering`'s matter.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from tailrace.hub.tail import Listener, Tail
from tailrace.hub.view import JOIN_BYTES, Joined, View, within
from tailrace.hub.window import Window
from tailrace.log import Position, Record
from tailrace.log.content import is_json, name_of
from tailrace.log.positions import Positions

if TYPE_CHECKING:
    from tailrace.hub.hub import Hub

__all__ = ["GAP", "Confluence"]

GAP: Final = "gap"
"""The event of a record which says that some of a log is missing: to all readers here, since nobody has it."""

_KEPT_JOINS = 8
_dump = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class Confluence(Tail):
    """The tails of several logs, by the names that readers know them by, as one. It has a use of each of them.

    A record in it has as its data the id that its event gets, a line feed, and what the event says.
    """

    __slots__ = ("_joins", "_listening", "gathering", "members", "names", "positions")

    def __init__(self, hub: Hub, log: str, members: Mapping[str, Tail]) -> None:
        super().__init__(hub, log)
        self.epoch = "several"
        self._early = None
        self.names = tuple(members)
        self.members = tuple(members.values())
        self.positions = Positions([tail.position for tail in self.members])
        """Where the head is: what has flowed in, and that is all that the members have."""
        self.head = 2  # offset 0 is nobody's place, and what comes past it is never held
        self._window = Window()
        self._window.extend((Record(self.head, "", f"{self.positions}\n", 0.0),))  # which tells where that is
        self.gathering = 0
        """Who is being led to the head."""
        self._joins: OrderedDict[tuple[View, str, int], Joined] = OrderedDict()
        self._listening: list[Listener] = []
        for index, tail in enumerate(self.members):
            listener = partial(self._on_news, index)
            self._listening.append(listener)
            tail.listeners.append(listener)

    def close(self) -> None:
        """Let go of the logs."""
        super().close()
        for tail, listener in zip(self.members, self._listening, strict=True):
            tail.listeners.remove(listener)
            self.hub.close(tail)

    def place_at(self, offset: int) -> Positions:
        """Where a reader is in each log who has everything up to `offset`; as long as that is held here."""
        if offset >= self.head:
            return self.positions
        records = self._window.since(offset - 1)
        if records is None:
            raise LookupError(f"nothing is held here that tells what {offset} was")
        return Positions.parse(_id_in(next(records)))

    def _trim(self) -> None:
        if not self._holds and self._window.full:
            self._window.trim(self._undelivered - 1)  # with it the record that tells where that is

    def _on_news(self, index: int, records: Sequence[Record]) -> None:
        """Take in what is new in one log. Called while its tail takes it in, so nothing is ever missed."""
        tail = self.members[index]
        at = self.positions[index]
        if tail.epoch != at.epoch:
            at = Position(tail.epoch, 0)
            self._miss(index, at, None)
        first = records[0].offset if records else tail.head + 1
        if first > at.offset + 1:
            self._miss(index, Position(tail.epoch, first - 1), first - 1 - at.offset)
        if records:
            self._take_in(index, records)

    def _miss(self, index: int, after: Position, missed: int | None) -> None:
        before, behind = self.positions.around(index)
        data = f"{before}{after}{behind}\n{_dump(self.gap(index, missed))}"
        self.positions = self.positions.moved(index, after)
        self._extend((Record(self.head + 1, GAP, data, self.hub.clock.time()),), 0)

    def _take_in(self, index: int, records: Sequence[Record]) -> None:
        before, behind = self.positions.around(index)
        name, epoch = self.names[index], self.positions[index].epoch
        flowing = [
            _flowing(each, offset, f"{before}{epoch}-{each.offset}{behind}", _wrapped(name, each))
            for offset, each in enumerate(records, self.head + 1)
        ]
        self.positions = self.positions.moved(index, Position(epoch, records[-1].offset))
        self._extend(flowing, 0)

    def gap(self, index: int, missed: int | None) -> dict[str, object]:
        """What a reader is told who misses some of one log; `missed` is None where it goes on as another history."""
        reason = "unknown" if missed is None else "trimmed"
        return {"channel": self.names[index], "missed": missed, "reason": reason}

    def join_part(self, view: View, place: Positions, index: int, records: Iterable[Record]) -> Joined:
        """The frames of what comes next in one log, for who stands at `place`; counted by that log's offsets.

        Those who left together come back together: they share it.
        """
        key = (view, str(place), index)
        joined = self._joins.get(key)
        if joined is not None:
            return joined
        before, behind = place.around(index)
        epoch, after = place[index]
        some = within(records, JOIN_BYTES)
        name = self.names[index]
        wrapped = [
            _flowing(each, each.offset, f"{before}{epoch}-{each.offset}{behind}", _wrapped(name, each)) for each in some
        ]
        blocks = view.renderer.render(self.epoch, wrapped)
        shown = max([record.offset for record, block in zip(some, blocks, strict=True) if block], default=0)
        joined = self._joins[key] = Joined(epoch, after, view.framing.wrap(blocks), shown)
        if len(self._joins) > _KEPT_JOINS:
            self._joins.popitem(last=False)
        return joined

    def leave_gathering(self) -> None:
        """Say that a reader is at the head, or gone."""
        self.gathering -= 1
        if not self.gathering:
            self._joins.clear()


def _wrapped(name: str, record: Record) -> str:
    """What an event says of a record; nothing of one that no event shows."""
    data = record.data
    if data is None:
        return ""
    return f'{{"channel":"{name}","data":{data if is_json(record.event) else _dump(data)}}}'


def _flowing(record: Record, offset: int, id_: str, said: str) -> Record:
    """A record of one log as one of the confluence's."""
    return Record(offset, name_of(record.event), f"{id_}\n{said}", record.at)


def _id_in(record: Record) -> str:
    return (record.data or "").partition("\n")[0]
