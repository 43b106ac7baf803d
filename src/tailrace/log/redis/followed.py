"""A log that somebody here follows: who they are, and what they were told of it last."""

from __future__ import annotations

from collections.abc import Sequence

from tailrace.log.position import Position
from tailrace.log.record import Record
from tailrace.log.redis.states import State
from tailrace.log.store import Follower

__all__ = ["Followed"]


class Followed:
    """A log that somebody here follows, and what they were told of it last."""

    __slots__ = ("ended", "epoch", "followers", "log", "newest", "offset", "produced")

    def __init__(self, log: str) -> None:
        self.log = log
        self.followers: list[Follower] = []
        self.epoch = ""  # nothing was told, or looked at, yet
        self.offset = 0
        self.newest: Record | None = None  # what stands at `offset`, where it was told
        self.produced = False
        self.ended = False

    @property
    def position(self) -> Position:
        """Up to where its followers were told."""
        return Position(self.epoch, self.offset)

    def learn(self, state: State) -> None:
        """Take a state as told, where there is nothing to compare with yet: whoever follows has seen it."""
        if not self.epoch:
            head, self.produced = state.head, state.produced
            self.epoch, self.offset, self.ended = head.epoch, head.last, head.ended

    def contradicts(self, records: Sequence[Record]) -> bool:
        """Whether `records`, of the same epoch, say something else of what was told last."""
        newest = self.newest
        if newest is None or not records[0].offset <= newest.offset <= records[-1].offset:
            return False
        return records[newest.offset - records[0].offset] != newest

    def tell(self, epoch: str, records: Sequence[Record], *, ends: bool = False) -> None:
        """Tell of records; what was told before as well, as followers expect it."""
        last = records[-1]
        if epoch != self.epoch or last.offset >= self.offset:
            self.epoch, self.offset, self.newest = epoch, last.offset, last
        self.ended = self.ended or ends
        for follower in tuple(self.followers):
            follower.on_records(epoch, records, ends=ends)

    def tell_renamed(self, epoch: str) -> None:
        """Tell that the log goes on as another epoch, of which nothing is told yet."""
        self.epoch, self.offset, self.newest = epoch, 0, None
        for follower in tuple(self.followers):
            follower.on_dropped(epoch)

    def tell_lost(self) -> None:
        """Tell that the store has no such log any more."""
        for follower in tuple(self.followers):
            follower.on_dropped("")
