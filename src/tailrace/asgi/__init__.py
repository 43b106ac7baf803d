"""Floor 3: a subscription as an ASGI answer."""

from __future__ import annotations

from tailrace.asgi.lane import EXTENSION, Lane, Offer
from tailrace.asgi.later import NotNow, come_back, detail_of, not_now, reason_of, wait_of
from tailrace.asgi.problem import NO_CONTENT, Answer, problem
from tailrace.asgi.sink import AsgiSink, Message, Receive, Scope, Send
from tailrace.asgi.stream import HEADERS, PLACE, READER, EventStream

__all__ = [
    "EXTENSION",
    "HEADERS",
    "NO_CONTENT",
    "PLACE",
    "READER",
    "Answer",
    "AsgiSink",
    "EventStream",
    "Lane",
    "Message",
    "NotNow",
    "Offer",
    "Receive",
    "Scope",
    "Send",
    "come_back",
    "detail_of",
    "not_now",
    "problem",
    "reason_of",
    "wait_of",
]
