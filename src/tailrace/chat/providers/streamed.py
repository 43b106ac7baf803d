"""A provider that answers over HTTP with an event stream: what is the same for all of them.

A kind adds how an `Ask` is written as its request, and a parser that reads its events. The order of
things and the end of an answer, which is never a guess, are decided here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import msgspec

from tailrace.chat import failures
from tailrace.chat.upstream import Upstream
from tailrace.errors import ErrorType, EventTooLarge, ProviderError
from tailrace.runs.deltas import Frame, Usage
from tailrace.sse import Decoder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from tailrace.chat.ask import Ask
    from tailrace.chat.passing import Passed
    from tailrace.chat.providers.base import Answer, ProviderOptions, Routed
    from tailrace.chat.providers.parser import Parser
    from tailrace.chat.upstream import Connections, Exchange
    from tailrace.runs.deltas import Delta, Part
    from tailrace.sse import Event

__all__ = ["StreamedProvider", "speaks"]

Told = TypeVar("Told", bound="Part")

_encode = msgspec.json.Encoder().encode


class StreamedProvider(ABC):
    """The common way of an answer: a request, bytes, events, deltas."""

    kind: ClassVar[str]
    default_model: ClassVar[str | None] = None
    path: ClassVar[str]
    """Where answers are asked for, below the base URL."""
    public_url: ClassVar[str]
    """The base URL where none is configured."""

    def __init__(self, options: ProviderOptions, connections: Connections) -> None:
        self.name = options.name
        self._api_key = options.api_key
        self._url = options.endpoint(self.path, self.public_url)
        self._upstream = Upstream(
            self._url,
            self.headers(options.api_key),
            connections,
            options.timeouts,
            options.max_streams,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def load(self) -> tuple[int, int]:
        """Return how many of its answers are in progress, and how many wait for a place."""
        return self._upstream.open, self._upstream.places.waiting

    @staticmethod
    @abstractmethod
    def headers(api_key: str) -> dict[str, str]:
        """Return the headers that say who asks; `api_key` is empty where none is configured."""

    @abstractmethod
    def request(self, ask: Ask) -> dict[str, Any]:
        """Return the request's JSON body."""

    @classmethod
    def relay_request(cls, body: Mapping[str, Any], model: str) -> dict[str, Any]:
        """Return a caller's own body, in this API's form, for `model`: all else in it stays as it is.

        It is always a stream that is asked for, since the run has many readers; one of them may want it whole.
        """
        return {**body, "model": model, "stream": True}

    @staticmethod
    @abstractmethod
    def parser() -> Parser:
        """Return a parser for one answer."""

    def answer(self, ask: Ask) -> Answer:
        """Ask the upstream; `Answer` says what the items are and how it ends."""
        return self._answer(lambda: self.request(ask), ask.headers, _told)

    def relay(self, body: Mapping[str, Any], model: str, headers: Passed = ()) -> Routed:
        """Ask the upstream what a caller asked in its own form; the items hold its events as it sends them.

        `headers` go along; one that is sent with each request stands back for them.
        """
        return self._answer(lambda: self.relay_request(body, model), headers, _paired)

    async def _answer(
        self,
        request: Callable[[], dict[str, Any]],
        headers: Passed,
        read: Callable[[Parser, list[Event]], Sequence[Told]],
    ) -> AsyncGenerator[Sequence[Told], None]:
        try:
            exchange = await self._upstream.post(_encode(request()), headers)
            try:
                decoder, parser, quiet = Decoder(), self.parser(), True
                while True:
                    item = read(parser, await _receive(exchange, decoder))
                    if parser.finished:
                        exchange.finish()  # first: whoever has the last delta may not come back
                        yield item
                        return
                    if quiet and speaks(item):
                        quiet = False
                        exchange.token_seen()
                    if item:
                        yield item
                    if parser.failure is not None:
                        raise parser.failure
            finally:
                exchange.close()
        except ProviderError as error:
            clean = failures.without(error, self._api_key)
            if clean is error:
                raise
            # `from None`: a traceback that shows the first error would show the key.
            raise clean from None

    async def close(self) -> None:  # noqa: B027  # a kind may have something to give up; most have not
        """Give up nothing: the connections belong to the gateway."""


async def _receive(exchange: Exchange, decoder: Decoder) -> list[Event]:
    """Return the events of the next chunk; none where it only brings part of one.

    Raises:
        ProviderError: nothing more comes, or not in an acceptable form.
    """
    chunk = await exchange.receive()
    if not chunk:
        raise ProviderError(ErrorType.PROVIDER_INCOMPLETE, "the provider's stream ended before its answer was complete")
    try:
        return decoder.receive(chunk)
    except EventTooLarge as error:
        raise failures.malformed(f"an event of more than {error.limit} bytes") from error


def _told(parser: Parser, events: list[Event]) -> Sequence[Delta]:
    return parser.feed(events)


def _paired(parser: Parser, events: list[Event]) -> Sequence[Part]:
    item: list[Part] = []
    for event, deltas in parser.pair(events):
        if event is None:
            item += deltas
        else:
            data, name, _, _ = event
            item.append(Frame(name, data, deltas))
    return item


_PREPARING = frozenset(
    {
        "message",  # the type of an event without a name: chunks of chat.completions, which say what they say in deltas
        "ping",
        "keepalive",
        "message_start",
        "content_block_start",
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.reasoning_summary_part.added",
    }
)
"""Events that hold no content themselves. Any other may hold some that is not known here, as a piece of an image."""


def speaks(item: Sequence[Part]) -> bool:
    """Tell whether an item holds content: not where it only counts, or prepares what will be said."""
    return any(_frame_speaks(part) if type(part) is Frame else type(part) is not Usage for part in item)


def _frame_speaks(frame: Frame) -> bool:
    return speaks(frame.deltas) if frame.deltas else frame.event not in _PREPARING
