"""What a producer yields, as the records that say it."""

from __future__ import annotations

from typing import NamedTuple

from tailrace.runs.deltas import Finish, Frame, Restart, ToolCall, Usage
from tailrace.runs.frames import Said, carrying, hidden
from tailrace.runs.native import entry, restart_entry
from tailrace.runs.producer import SPOKEN, Item, deltas_of
from tailrace.runs.tally import Tally

__all__ = ["End", "take"]


class End(NamedTuple):
    """The model's end, and the frame that brought it, where there is one."""

    finish: Finish
    frame: Frame | None = None


def take(item: Item, tally: Tally) -> tuple[list[Said], End | None]:
    """Read an item up to the model's end, and count what it costs: its records, and the end if it came."""
    entries: list[Said] = []
    texts: list[str] = []
    end = None
    for delta in deltas_of(item):
        if isinstance(delta, SPOKEN):
            entries.append(entry(delta))
            texts.append(delta.arguments if isinstance(delta, ToolCall) else delta.text)
        else:
            end = _take_other(delta, entries, tally)
            if end is not None:
                break
    if texts:
        # Once for all that came together: a provider's answer may be one item of many deltas.
        tally.hear("".join(texts))
    return entries, end


def _take_other(part: Usage | Finish | Restart | Frame, entries: list[Said], tally: Tally) -> End | None:
    if isinstance(part, Frame):
        return _take_frame(part, entries, tally)
    if isinstance(part, Finish):
        return End(part)
    if isinstance(part, Usage):
        tally.merge(part)
    elif isinstance(part, Restart):
        tally.reset()
        entries.append(restart_entry(part))
    else:
        raise TypeError(f"a producer yields text, deltas or sequences of deltas, not {type(part).__name__}")
    return None


def _take_frame(frame: Frame, entries: list[Said], tally: Tally) -> End | None:
    """Read what a frame says. It rides on the first record of it, or on the end that it brings."""
    said, end = take(frame.deltas, tally)
    if end is not None:
        entries += said
        return End(end.finish, frame)
    entries.append(carrying(said[0], frame) if said else hidden(frame))
    entries += said[1:]
    return None
