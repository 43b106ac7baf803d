"""Events out of bytes that somebody else moves: a response of another HTTP client, a file, a queue, a test.

The protocol is read as everywhere else; coming back after a cut is left to whoever has the bytes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable
from typing import Final, TypeVar, overload

from tailrace.client.channels import Subscription
from tailrace.client.events import ChatEvent, Message
from tailrace.client.questions import Question
from tailrace.client.session import Exchange, Session, State
from tailrace.errors import Unreachable

__all__ = ["answer_from", "events_from"]

_STREAM: Final = {"content-type": "text/event-stream"}

E = TypeVar("E")


@overload
def events_from(chunks: Iterable[bytes], *, several: bool = False) -> Generator[Message]: ...
@overload
def events_from(chunks: AsyncIterable[bytes], *, several: bool = False) -> AsyncGenerator[Message]: ...
def events_from(
    chunks: Iterable[bytes] | AsyncIterable[bytes], *, several: bool = False
) -> Generator[Message] | AsyncGenerator[Message]:
    """Read the events of channels out of the bytes of an event stream, however they are cut.

    `several` where it is a stream of several channels. It ends with the bytes, or with `reconnect`; an event that is
    unfinished then is discarded. Raises `EventTooLarge`.
    """
    return _read(Subscription("?channel=" if several else ""), chunks)


@overload
def answer_from(chunks: Iterable[bytes]) -> Generator[ChatEvent]: ...
@overload
def answer_from(chunks: AsyncIterable[bytes]) -> AsyncGenerator[ChatEvent]: ...
def answer_from(chunks: Iterable[bytes] | AsyncIterable[bytes]) -> Generator[ChatEvent] | AsyncGenerator[ChatEvent]:
    """Read an answer out of the bytes of its native event stream.

    Raises `RunError` where the run failed, `Unreachable` where the bytes end before the answer does: a part never
    looks like the whole.
    """
    return _read(Question("", run="-"), chunks, whole=True)


def _read(
    exchange: Exchange[E], chunks: Iterable[bytes] | AsyncIterable[bytes], *, whole: bool = False
) -> Generator[E] | AsyncGenerator[E]:
    session = Session(exchange)
    session.next_request()
    session.answered(200, _STREAM)
    if isinstance(chunks, AsyncIterable):
        return _awaited(session, chunks, whole)
    return _blocking(session, chunks, whole)


def _blocking(session: Session[E], chunks: Iterable[bytes], whole: bool) -> Generator[E]:
    for chunk in chunks:
        yield from session.receive(chunk)
        if session.state is not State.OPEN:
            break
    _end(session, whole)


async def _awaited(session: Session[E], chunks: AsyncIterable[bytes], whole: bool) -> AsyncGenerator[E]:
    async for chunk in chunks:
        for event in session.receive(chunk):
            yield event
        if session.state is not State.OPEN:
            break
    _end(session, whole)


def _end(session: Session[E], whole: bool) -> None:
    if session.error:
        raise session.error
    if whole and session.state is not State.CLOSED:
        raise Unreachable("the bytes ended before the answer did")
