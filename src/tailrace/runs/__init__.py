"""Floor 3: runs. A log that ends: its states, its deltas, its producer, and the native dialect."""

from __future__ import annotations

from tailrace.runs.deltas import Delta, Finish, Text, Thinking, ToolCall, Usage
from tailrace.runs.native import NativeRenderer, Summary, interruption
from tailrace.runs.options import RunOptions
from tailrace.runs.producer import Item, Producer, discard
from tailrace.runs.run import Run
from tailrace.runs.runs import Attached, Runs
from tailrace.runs.states import Status

__all__ = [
    "Attached",
    "Delta",
    "Finish",
    "Item",
    "NativeRenderer",
    "Producer",
    "Run",
    "RunOptions",
    "Runs",
    "Status",
    "Summary",
    "Text",
    "Thinking",
    "ToolCall",
    "Usage",
    "discard",
    "interruption",
]
