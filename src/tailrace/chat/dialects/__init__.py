"""The wire formats that clients speak, one package for each, as pure code without I/O.

A `Dialect` reads a request, writes an answer's stream or the whole of it out of deltas, and hands on
the stream of an upstream that speaks it as well. Which provider is asked, and how bytes get to and
from anybody, is not known here.
"""

from __future__ import annotations

from tailrace.chat.dialects.ai_sdk import AI_SDK
from tailrace.chat.dialects.anthropic import MESSAGES
from tailrace.chat.dialects.faults import status_of
from tailrace.chat.dialects.openai_chat import OPENAI_CHAT
from tailrace.chat.dialects.openai_responses import OPENAI_RESPONSES
from tailrace.chat.dialects.request import BadRequest, Request, Tie, check
from tailrace.chat.dialects.writing import Accumulator, Dialect, Head, Problem, Relay, Spoken, Writer

__all__ = [
    "AI_SDK",
    "DIALECTS",
    "SPOKEN",
    "Accumulator",
    "BadRequest",
    "Dialect",
    "Head",
    "Problem",
    "Relay",
    "Request",
    "Spoken",
    "Tie",
    "Writer",
    "check",
    "status_of",
]

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (OPENAI_CHAT, OPENAI_RESPONSES, MESSAGES)}
"""The dialects that providers speak as well, by their names."""

SPOKEN: dict[str, Spoken] = {**DIALECTS, AI_SDK.name: AI_SDK}
"""All that clients speak."""
