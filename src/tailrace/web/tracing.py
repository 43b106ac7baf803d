"""Following a request across services: the trace that it belongs to, and the part of it that its answer is."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from msgspec.structs import replace as replace_in_struct

from tailrace.chat.ask import Ask
from tailrace.chat.dialects import Request as Asked
from tailrace.chat.models import Target
from tailrace.chat.passing import Passed
from tailrace.runs.spans import Span

__all__ = ["Tracer", "begin", "retraced"]

_TRACE = frozenset({"traceparent", "tracestate"})


class Tracer(Protocol):
    """Where what is followed is kept."""

    def begin(self, parent: Passed, target: Target, ask: Ask | None) -> Span:
        """Begin the span of an answer, a part of the trace that its request is a part of (`parent`; none: a new one).

        `target` is who will be asked first, `ask` what for, where that can be said in our words.
        """
        ...

    async def close(self) -> None:
        """Hand on what is left, in a bounded time. Whatever ends later is not followed any more."""
        ...


def begin(tracer: Tracer | None, headers: Passed, target: Target, ask: Ask | None) -> Span | None:
    """Begin the span of an answer, where anybody follows it."""
    if tracer is None:
        return None
    return tracer.begin(tuple(each for each in headers if each[0] in _TRACE), target, ask)


def retraced(asked: Asked, span: Span | None) -> Asked:
    """Return a request whose upstream calls are parts of `span`, not of what its caller has named."""
    if span is None:
        return asked
    ask = asked.ask and replace_in_struct(asked.ask, headers=span.headers)
    return replace(asked, ask=ask, headers=(*(each for each in asked.headers if each[0] not in _TRACE), *span.headers))
