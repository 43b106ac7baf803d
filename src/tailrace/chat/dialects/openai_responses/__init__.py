"""The dialect `openai-responses`: OpenAI's Responses."""

from __future__ import annotations

from tailrace.chat.dialects.kinds import RESPONSES
from tailrace.chat.dialects.openai_errors import failure, problem
from tailrace.chat.dialects.openai_responses.objects import head, whole
from tailrace.chat.dialects.openai_responses.reader import read
from tailrace.chat.dialects.openai_responses.relay import ResponsesAccumulator, ResponsesRelay
from tailrace.chat.dialects.openai_responses.writer import ResponsesWriter
from tailrace.chat.dialects.writing import Dialect

__all__ = ["OPENAI_RESPONSES"]

OPENAI_RESPONSES = Dialect(
    name="openai-responses",
    kind=RESPONSES,
    read=read,
    head=head,
    writer=ResponsesWriter,
    whole=whole,
    relay=ResponsesRelay,
    accumulator=ResponsesAccumulator,
    problem=problem,
    failure=failure,
)
