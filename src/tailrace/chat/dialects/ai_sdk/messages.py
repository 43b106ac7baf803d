"""UI messages as messages of an `Ask`, by the rules of the SDK's own `convertToModelMessages`.

said            text; images (`file` parts, by URL or as data), the user's alone; tool calls with their outputs
passed over     what a page shows and no model is told, as in the SDK: `data-…`, sources, step boundaries, calls whose
                input never came to its end. Also earlier reasoning, which no other model can read
refused         tool calls without an output, and those that wait for an approval (only the page can go on with them);
                tools that a provider ran; files that are no images; parts that are not known here

A message of the assistant is cut at its `step-start` parts: what tools gave in one step was known in the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tailrace.chat.ask import ToolUse
from tailrace.chat.dialects.conversation import tie_image
from tailrace.chat.dialects.request import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tailrace.chat.dialects.conversation import Conversation
    from tailrace.chat.dialects.fields import Fields

__all__ = ["read_message"]

_ROLES: Final = ("system", "user", "assistant")
_SHOWN: Final = frozenset({"source-url", "source-document"})
_DENIED: Final = "Tool call execution denied."  # the SDK's own words, where nobody gave a reason

_UNANSWERED: Final = {
    "input-available": "this tool call has no output; add it (addToolOutput) before the chat goes on",
    "approval-requested": "this tool call waits for an approval; tools run in the page here, which asks by itself",
    "approval-responded": "this tool call was approved but has no output; tools run in the page here, which adds it",
}


def read_message(message: Fields, conversation: Conversation) -> None:
    """Add one message to a conversation.

    Raises:
        BadRequest: it is malformed, or has a part that no model can be told.
    """
    message.text("id")
    role = message.required("role")
    if role not in _ROLES:
        raise BadRequest(f"expected one of {', '.join(_ROLES)}", message.place("role"))
    if not message.has("parts"):
        raise BadRequest("the message's parts are required", message.place("parts"))
    parts = message.objects("parts")
    if role == "assistant":
        _Turn(message, conversation).read(parts)
        return
    said = [said for part in parts if (said := _spoken(part, role)) is not None]
    if not said:
        raise BadRequest("the message says nothing", message.place("parts"))
    conversation.say(message, role, _content(said) if role == "user" else "".join(each["text"] for each in said))


def _spoken(part: Fields, role: str) -> dict[str, Any] | None:
    """Take a part of what somebody else than the assistant says; None where it says nothing to a model."""
    kind = part.required("type")
    if kind == "text":
        return _text(part)
    if kind == "file" and role == "user":
        return _image(part)
    if kind.startswith("data-"):
        return None
    raise _refused(part, f"a part of type {kind!r} cannot be said in a message of the {role}")


def _content(said: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Return a text that stands alone as it is: it is what every provider writes shortest."""
    text: str | None = said[0].get("text") if len(said) == 1 else None
    return said if text is None else text


def _text(part: Fields) -> dict[str, Any] | None:
    text = part.required("text")
    return {"type": "text", "text": text} if text else None


def _image(part: Fields) -> dict[str, Any]:
    kind, url = part.required("mediaType"), part.required("url")
    if kind.partition("/")[0] != "image":
        raise BadRequest(f"expected an image, not {kind!r}", part.place("mediaType"))
    tie_image(url, part, "url")
    return {"type": "image_url", "image_url": {"url": url}}


def _refused(part: Fields, why: str) -> BadRequest:
    return BadRequest(why, part.path)


class _Turn:
    """What the assistant said and called, as as many messages as it takes to keep the order of the steps."""

    def __init__(self, message: Fields, conversation: Conversation) -> None:
        self._message = message
        self._conversation = conversation
        self._said: list[dict[str, Any]] = []
        self._calls: list[ToolUse] = []
        self._results: list[Callable[[], None]] = []

    def read(self, parts: list[Fields]) -> None:
        """Read all parts; a message without any is one of an answer that failed, and says nothing."""
        for part in parts:
            kind = part.required("type")
            if kind == "text":
                self._read_text(part)
            elif kind == "step-start":
                self._end_step()
            elif kind == "dynamic-tool":
                self._read_call(part, part.required("toolName"))
            elif kind.startswith("tool-"):
                self._read_call(part, kind.removeprefix("tool-"))
            elif kind == "reasoning":
                part.required("text")
            elif kind not in _SHOWN and not kind.startswith("data-"):
                raise _refused(part, f"a part of type {kind!r} cannot be said in a message of the assistant")
        self._end_step()

    def _read_text(self, part: Fields) -> None:
        if self._calls:  # its place is behind what the calls gave
            self._end_step()
        said = _text(part)
        if said is not None:
            self._said.append(said)

    def _read_call(self, part: Fields, name: str) -> None:
        state, call = part.required("state"), part.required("toolCallId")
        if state == "input-streaming":
            return
        if part.flag("providerExecuted"):
            raise _refused(part, "a tool that a provider ran cannot be said to another one")
        if not (call and name):
            raise _refused(part, "a tool call needs a toolCallId and a name")
        result, failed = _result(part, state)
        self._calls.append(ToolUse(call, name, _input(part)))
        self._results.append(
            lambda: self._conversation.say(part, "tool", result, tool_call_id=call, is_error=failed),
        )

    def _end_step(self) -> None:
        if self._calls:
            said = _content(self._said) if self._said else ""
            self._conversation.say(self._message, "assistant", said, tool_calls=tuple(self._calls))
        elif self._said:
            self._conversation.say(self._message, "assistant", _content(self._said))
        for say in self._results:
            say()
        self._said, self._calls, self._results = [], [], []


def _input(part: Fields) -> str:
    """Return a call's input as JSON text; what the model wrote, where that was no JSON."""
    given = part.raw("input")
    if given is None and isinstance(written := part.raw("rawInput"), str):
        return written
    return _json({} if given is None else given)


def _result(part: Fields, state: str) -> tuple[str, bool]:
    """Return what a tool gave, as text, and whether it failed."""
    if state == "output-available":
        output = part.raw("output")
        return output if isinstance(output, str) else _json(output), False
    if state == "output-error":
        return part.required("errorText"), True
    if state == "output-denied":
        approval = part.nested("approval")
        reason = approval.text("reason") if approval is not None else None
        return reason or _DENIED, True
    raise BadRequest(_UNANSWERED.get(state, f"there is no state {state!r}"), part.place("state"))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
