"""Request bodies: read within bounds, then made into typed values, or refused with what is wrong."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import Request

from tailrace.asgi import Receive
from tailrace.chat.ask import Ask, Message
from tailrace.web.problems import Problem

__all__ = ["BODY_SECONDS", "ChatBody", "PublishBody", "PublishManyBody", "encode", "parse", "read_body"]

BODY_SECONDS = 30.0
"""From a request's head to the end of its body."""

_MOST_TOKENS = 1_000_000_000
_MOST_DIGITS = 18  # of a length; Python refuses to read thousands of them

T = TypeVar("T")


class ChatBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question: `message`, or a conversation as `messages`. `grace` is in seconds."""

    message: str | None = None
    messages: tuple[Message, ...] | None = None
    model: str | None = None
    system: str | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=_MOST_TOKENS)] | None = None
    temperature: float | None = None
    tools: tuple[dict[str, Any], ...] = ()
    thinking: bool = False
    grace: Annotated[float, Meta(ge=0)] | None = None
    metadata: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if (self.message is None) == (self.messages is None):
            raise ValueError("expected either `message` or `messages`")
        if self.message == "":
            raise ValueError("`message` is empty")

    def ask(self) -> Ask:
        """The question as every provider understands it. Raises `Problem` where there is nothing to answer."""
        messages = self.messages if self.message is None else (Message("user", self.message),)
        try:
            return Ask(
                messages=messages or (),
                system=self.system,
                max_tokens=self.max_tokens,
                temperature=self.temperature,
                tools=self.tools,
                thinking=self.thinking,
                metadata=self.metadata,
            )
        except ValueError as error:
            raise Problem(422, "invalid_body", str(error)) from error


class PublishBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event to publish. `state` says what `data` makes of the channel's state: another one, or a changed one."""

    data: Any
    event: str | None = None
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    state: Literal["replace", "merge"] | None = None


class PublicationBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of several events to publish."""

    channel: str
    data: Any
    event: str | None = None
    state: Literal["replace", "merge"] | None = None


class PublishManyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events to publish in one call, to any channels. The key is that of the call, in each of its channels."""

    events: Annotated[tuple[PublicationBody, ...], Meta(min_length=1, max_length=1000)]
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=256)] | None = None


async def read_body(request: Request, limit: int) -> bytes:
    """The request's body. Raises `Problem`: 413 past `limit` bytes, 408 where it does not arrive."""
    declared = request.headers.get("content-length", "").lstrip("0")
    if declared.isdecimal() and (len(declared) > _MOST_DIGITS or int(declared) > limit):
        raise _too_large(limit)
    # Most bodies are one piece that came with the head, and a deadline costs more than reading them. How long a first
    # piece may take is the server's matter (`server.bounds`), which has to mind silence anyway.
    body, more = await _piece(request.receive)
    if more:
        body = await _rest(request.receive, limit, body)
    if len(body) > limit:
        raise _too_large(limit)
    return body


async def _rest(receive: Receive, limit: int, first: bytes) -> bytes:
    body, more = bytearray(first), True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more and len(body) <= limit:
                piece, more = await _piece(receive)
                body += piece
    except TimeoutError:
        detail = f"The request's body did not arrive within {BODY_SECONDS:g} seconds."
        raise Problem(408, "body_timeout", detail, {"connection": "close"}) from None
    return bytes(body)


async def _piece(receive: Receive) -> tuple[bytes, bool]:
    """The body's next piece, and whether there are more."""
    message = await receive()
    if message["type"] == "http.disconnect":
        # Nobody reads this answer, but the request ends as one that was refused, not as a fault of ours.
        raise Problem(400, "disconnected", "The client left before its request was complete.")
    return message.get("body", b""), message.get("more_body", False)


def _too_large(limit: int) -> Problem:
    # The rest of the body is not read, so nothing else can follow on this connection.
    return Problem(413, "body_too_large", f"The request's body may be {limit} bytes.", {"connection": "close"})


def parse(body: bytes, kind: type[T]) -> T:
    """Make a typed value of JSON. Raises `Problem`: 400 where it is none, 422 where it is another."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Problem(422, "invalid_body", f"The body is not as expected: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, "malformed", f"The body is not JSON: {error}") from error
    except RecursionError:
        raise _too_deep() from None


def encode(value: object) -> bytes:
    """JSON of what a body held, the same for the same value. Raises `Problem` 400 where it nests too deeply."""
    try:
        return msgspec.json.encode(value)
    except RecursionError:
        raise _too_deep() from None


def _too_deep() -> Problem:
    return Problem(400, "malformed", "The body is nested too deeply.")
