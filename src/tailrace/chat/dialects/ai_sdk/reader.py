"""Reading what `useChat` posts: a chat's messages, and what a page adds to the body beside them.

`id`, `messages`, `trigger` and `messageId` are the SDK's own. A page may add (by the transport's `body`) `model`,
`system`, `max_tokens`, `temperature`, `top_p`, `tools`, `thinking` and `metadata`, which mean what they mean natively.
Every other field is refused, since nobody here would heed it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tailrace.chat.dialects.ai_sdk.messages import read_message
from tailrace.chat.dialects.openai_fields import temperature_of
from tailrace.chat.dialects.reading import Reading
from tailrace.chat.dialects.request import BadRequest

if TYPE_CHECKING:
    from tailrace.chat.dialects.fields import Fields
    from tailrace.chat.dialects.request import Request

__all__ = ["NAME", "continued", "read"]

NAME: Final = "ai-sdk"

_SUBMIT: Final = "submit-message"
_TRIGGERS: Final = (_SUBMIT, "regenerate-message")
_LONGEST_ID: Final = 256


def read(body: object) -> Request:
    """Return the request that `body` is; `model` is empty where it names none.

    Raises:
        BadRequest: it is malformed, or says what no model can be told; the error names the field.
    """
    reading = Reading(NAME, NAME, body, default_model="")
    fields, conversation = reading.fields, reading.conversation
    fields.usual("stream", value=True)
    for name in ("id", "messageId"):
        _check_id(fields, name)
    if fields.text("trigger") not in (None, *_TRIGGERS):
        raise BadRequest(f"expected one of {', '.join(_TRIGGERS)}", "trigger")
    if not fields.has("messages"):
        raise BadRequest("the chat's messages are required, all of them: nothing of a chat is kept here", "messages")
    for message in fields.objects("messages"):
        read_message(message, conversation)
    ask = conversation.ask(_said(fields))
    if ask is None:
        raise BadRequest("there is nothing in them to answer", "messages")
    fields.nested("metadata")
    return replace(reading.request(ask, None), stream=True)


def continued(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the assistant's message that the answer to a body (which was read) goes on with; None: it is a new one.

    So it is where the page has added the results of tools: the SDK puts what comes behind what is there.
    """
    if body.get("trigger", _SUBMIT) != _SUBMIT:
        return None
    messages: list[dict[str, Any]] = body["messages"]
    name = body.get("messageId")
    named = [message for message in messages if name is not None and message.get("id") == name]
    last = (named or messages)[-1]
    return last if last["role"] == "assistant" and last.get("id") else None


def _check_id(fields: Fields, name: str) -> None:
    value = fields.text(name)
    if value is not None and not 1 <= len(value) <= _LONGEST_ID:
        raise BadRequest(f"expected 1 to {_LONGEST_ID} characters", fields.place(name))


def _said(fields: Fields) -> dict[str, Any]:
    return {
        "system": fields.text("system") or None,
        "max_tokens": fields.integer("max_tokens", 1),
        "temperature": temperature_of(fields),
        "top_p": fields.number("top_p", 1),
        "tools": tuple(tool.whole for tool in fields.objects("tools")),
        "thinking": fields.flag("thinking") or False,
    }
