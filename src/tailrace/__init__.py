"""Tailrace: the streaming layer between models, events and people.

Everything is a log, every connection is a cursor tailing it. `Tailrace` is the library's face; the
deltas are what a producer may yield instead of plain text.
"""

from __future__ import annotations

from tailrace.errors import TailraceError
from tailrace.facade import Options, Tailrace
from tailrace.log import Retention
from tailrace.runs import Finish, Text, Thinking, ToolCall, Usage
from tailrace.sse import Event

__version__ = "0.1.0"

__all__ = [
    "Event",
    "Finish",
    "Options",
    "Retention",
    "Tailrace",
    "TailraceError",
    "Text",
    "Thinking",
    "ToolCall",
    "Usage",
]
