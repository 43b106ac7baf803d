"""What becomes of a cursor that a client brings back: the one place where a resume is judged.

A pure function over what the client sent and what the log holds. What is done with the verdict
(which event says it, whether a lost cursor goes live or to the start) is left to the callers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tailrace.log.positions import positions_in

__all__ = ["Reason", "Verdict", "judge"]

Reason = Literal["ok", "trimmed", "unknown", "ahead", "malformed"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a resume got.

    `after` is the offset to read on from, or None where the cursor names no place in this log.
    `missed` is how many records are gone for good; None where nobody can tell.
    """

    reason: Reason
    after: int | None
    missed: int | None

    @property
    def recovered(self) -> bool:
        """Whether the reader gets everything that it had not seen."""
        return self.reason == "ok"


def judge(cursor: str, epoch: str, first: int, last: int) -> Verdict:
    """Judge `cursor` against a log whose oldest retained record is `first` and whose newest is `last`.

    An empty log has `first == last + 1`. A cursor of several logs is judged by its position in this one.
    """
    positions = positions_in(cursor)
    if positions is None:
        return Verdict("malformed", None, None)
    position = positions.get(epoch)
    if position is None:
        return Verdict("unknown", None, None)
    if position.offset > last:
        return Verdict("ahead", None, None)
    if position.offset < first - 1:
        return Verdict("trimmed", first - 1, first - 1 - position.offset)
    return Verdict("ok", position.offset, 0)
