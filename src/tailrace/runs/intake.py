"""What a producer yields, as the records that say it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tailrace.runs.deltas import Finish, Frame, Part, Restart, ToolCall, Usage
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
    end = _take(deltas_of(item), entries, texts, tally)
    if texts:
        # Once for all that came together: a provider's answer may be one item of many deltas.
        tally.hear("".join(texts))
    return entries, end


def _take(parts: Sequence[Part], entries: list[Said], texts: list[str], tally: Tally) -> End | None:
    for part in parts:
        if isinstance(part, SPOKEN):
            entries.append(entry(part))
            texts.append(part.arguments if isinstance(part, ToolCall) else part.text)
        elif isinstance(part, Frame):
            before = len(entries)
            end = _take(part.deltas, entries, texts, tally)
            if end is not None:
                return End(end.finish, part)
            _carry(part, entries, before)
        elif isinstance(part, Finish):
            return End(part)
        else:
            _take_other(part, entries, texts, tally)
    return None


def _carry(frame: Frame, entries: list[Said], first: int) -> None:
    """Have a frame ride on the first record of what it said, which is `entries` from `first` on."""
    if first < len(entries):
        entries[first] = carrying(entries[first], frame)
    else:
        entries.append(hidden(frame))


def _take_other(part: Usage | Restart, entries: list[Said], texts: list[str], tally: Tally) -> None:
    if isinstance(part, Usage):
        tally.merge(part)
    elif isinstance(part, Restart):
        texts.clear()
        tally.reset()
        entries.append(restart_entry(part))
    else:
        raise TypeError(f"a producer yields text, deltas or sequences of deltas, not {type(part).__name__}")
