"""The dialect `anthropic`: Anthropic's Messages."""

from __future__ import annotations

from tailrace.chat.dialects.anthropic.errors import failure, problem
from tailrace.chat.dialects.anthropic.reader import read
from tailrace.chat.dialects.anthropic.relay import MessagesAccumulator, MessagesRelay
from tailrace.chat.dialects.anthropic.writer import MessagesWriter, head, whole
from tailrace.chat.dialects.kinds import ANTHROPIC
from tailrace.chat.dialects.writing import Dialect

__all__ = ["MESSAGES"]

MESSAGES = Dialect(
    name="anthropic",
    kind=ANTHROPIC,
    read=read,
    head=head,
    writer=MessagesWriter,
    whole=whole,
    relay=MessagesRelay,
    accumulator=MessagesAccumulator,
    problem=problem,
    failure=failure,
)
