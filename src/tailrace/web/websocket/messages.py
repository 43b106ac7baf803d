"""What clients say over a WebSocket, as typed values, and what they are answered.

An id is any JSON scalar, and comes back as the very bytes that it was sent as: a number of 20 digits too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from tailrace.asgi.frames import text_frame
from tailrace.web.bodies import ChatBody, PublishBody, encode
from tailrace.web.problems import Problem

__all__ = [
    "Attach",
    "Cancel",
    "Message",
    "Publish",
    "Subscribe",
    "Unsubscribe",
    "chat_of",
    "id_in",
    "parse",
    "payload",
    "reply",
]

T = TypeVar("T")

_NESTED: Final = (b"[", b"{")


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Anything that a client says. `id` and `payload` are JSON as it was sent, empty where it was not."""

    type: str
    id: msgspec.Raw = msgspec.Raw(b"")
    payload: msgspec.Raw = msgspec.Raw(b"")


class _Numbered(msgspec.Struct, frozen=True):
    id: msgspec.Raw = msgspec.Raw(b"")


class Subscribe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A channel to follow. `start` and `snapshot` are where to begin without a cursor, `event` the types to show."""

    channel: str
    last_event_id: str | None = None
    start: Literal["earliest"] | None = msgspec.field(name="from", default=None)
    snapshot: bool = False
    event: str | tuple[str, ...] = ()

    @property
    def only(self) -> tuple[str, ...]:
        """The types of events to show; none given, or empty ones: all."""
        given = (self.event,) if isinstance(self.event, str) else self.event
        return tuple([name for name in given if name])


class Unsubscribe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to follow no longer: a channel or a run."""

    channel: str | None = None
    run: str | None = None

    def __post_init__(self) -> None:
        if (self.channel is None) == (self.run is None):
            raise ValueError("expected either `channel` or `run`")


class Publish(PublishBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event to publish, and where."""

    channel: str


class Attach(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run to watch, from its start, on from a cursor, or with a snapshot of what it has said."""

    run: str
    last_event_id: str | None = None
    snapshot: bool = False


class Cancel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run to cancel."""

    run: str


class _Chat(ChatBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=256)] | None = None


def parse(text: str | None) -> Message:
    """Read what a client said, None for a binary frame. Raises `Problem`, whose code and detail are what is told."""
    if text is None:
        raise Problem(422, "binary_message", "Messages are JSON in text frames; this was a binary one.")
    try:
        message = msgspec.json.decode(text, type=Message)
    except msgspec.ValidationError as error:
        raise Problem(422, "invalid_message", f"The message is not as expected: {error}.") from error
    except msgspec.DecodeError as error:
        raise Problem(400, "malformed", f"The message is not JSON: {error}.") from error
    except RecursionError:
        raise Problem(400, "malformed", "The message is nested too deeply.") from None
    if bytes(message.id).startswith(_NESTED):
        raise Problem(422, "invalid_message", "The message is not as expected: Expected a scalar - at `$.id`.")
    return message


def id_in(text: str) -> msgspec.Raw:
    """The id of a message that is not as expected, as far as it has one: the answer to it carries it too."""
    try:
        found = msgspec.json.decode(text, type=_Numbered).id
    except (msgspec.DecodeError, RecursionError):
        return msgspec.Raw(b"")
    return msgspec.Raw(b"") if bytes(found).startswith(_NESTED) else found


def payload(message: Message, kind: type[T]) -> T:
    """A message's payload as a typed value. Raises `Problem`."""
    try:
        return msgspec.json.decode(bytes(message.payload) or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise Problem(422, "invalid_payload", f"The payload of {message.type} is not as expected: {error}.") from error
    except RecursionError:
        raise Problem(400, "malformed", "The message is nested too deeply.") from None


def chat_of(message: Message) -> tuple[ChatBody, str | None]:
    """A question and its idempotency key: as over HTTP, so that one key is one run on either way. Raises `Problem`."""
    chat = payload(message, _Chat)
    fields = {name: getattr(chat, name) for name in ChatBody.__struct_fields__}
    return ChatBody(**fields), chat.idempotency_key


def reply(
    type: str,  # noqa: A002  # the wire's own word
    to: msgspec.Raw | None = None,
    about: Mapping[str, Any] | None = None,
    content: bytes = b"",
) -> bytes:
    """A frame that answers what had the id `to`. `about` are its members beside that, `content` is its payload."""
    parts = [b'"type":"%b"' % type.encode()]
    if to is not None and (id_ := bytes(to)):
        parts.append(b'"id":%b' % id_)
    if about:
        parts.append(encode(about)[1:-1])
    if content:
        parts.append(b'"payload":%b' % content)
    return text_frame(b"{%b}" % b",".join(parts))
