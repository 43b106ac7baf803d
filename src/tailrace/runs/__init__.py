"""Floor 3: runs. A log that ends: its states, its deltas, its producer, and the native dialect.

`run` is one that is produced here; `runs` starts and ends them, `readers` finds them for who may read them. Where
instances share a store, `instance` holds together what they do about each other's: `membership` and `liveness` (who
lives), `lease` (one's own), `elsewhere` (others').
"""

from __future__ import annotations

from tailrace.runs.account import Attempted, Ended
from tailrace.runs.deltas import Delta, Finish, Frame, Restart, Text, Thinking, ToolCall, Usage
from tailrace.runs.following import follow, opening
from tailrace.runs.meta import RunMeta
from tailrace.runs.native import NativeRenderer, interruption
from tailrace.runs.options import RunOptions
from tailrace.runs.producer import Item, Producer, discard
from tailrace.runs.readers import Attached
from tailrace.runs.run import Run
from tailrace.runs.runs import Runs
from tailrace.runs.spans import Span
from tailrace.runs.states import Status
from tailrace.runs.summary import Summary

__all__ = [
    "Attached",
    "Attempted",
    "Delta",
    "Ended",
    "Finish",
    "Frame",
    "Item",
    "NativeRenderer",
    "Producer",
    "Restart",
    "Run",
    "RunMeta",
    "RunOptions",
    "Runs",
    "Span",
    "Status",
    "Summary",
    "Text",
    "Thinking",
    "ToolCall",
    "Usage",
    "discard",
    "follow",
    "interruption",
    "opening",
]
