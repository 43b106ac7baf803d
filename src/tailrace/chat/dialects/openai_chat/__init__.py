"""The dialect `openai-chat`: OpenAI's chat.completions."""

from __future__ import annotations

from tailrace.chat.dialects.kinds import CHAT
from tailrace.chat.dialects.openai_chat.reader import read
from tailrace.chat.dialects.openai_chat.relay import ChatAccumulator, ChatRelay
from tailrace.chat.dialects.openai_chat.writer import ChatWriter, head, whole
from tailrace.chat.dialects.openai_errors import failure, problem
from tailrace.chat.dialects.writing import Dialect

__all__ = ["OPENAI_CHAT"]

OPENAI_CHAT = Dialect(
    name="openai-chat",
    kind=CHAT,
    read=read,
    head=head,
    writer=ChatWriter,
    whole=whole,
    relay=ChatRelay,
    accumulator=ChatAccumulator,
    problem=problem,
    failure=failure,
)
