"""Floor 3: a subscription as an ASGI answer."""

from __future__ import annotations

from tailrace.asgi.lane import EXTENSION, Lane, Offer
from tailrace.asgi.problem import NO_CONTENT, Answer, problem
from tailrace.asgi.sink import AsgiSink, Message, Receive, Scope, Send
from tailrace.asgi.stream import HEADERS, EventStream

__all__ = [
    "EXTENSION",
    "HEADERS",
    "NO_CONTENT",
    "Answer",
    "AsgiSink",
    "EventStream",
    "Lane",
    "Message",
    "Offer",
    "Receive",
    "Scope",
    "Send",
    "problem",
]
