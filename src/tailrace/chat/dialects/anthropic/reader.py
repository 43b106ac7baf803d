"""Reading a Messages request. Where another kind of provider is asked, its fields are

said to all kinds     messages (text, images, tool_use and tool_result), system, max_tokens, temperature, top_p,
                      tools of the caller, tool_choice, output_config (effort, format), metadata.user_id;
                      thinking: its budget as the nearest effort, which is the one thing that is said roughly;
                      is_error of a tool_result: as `Error: ` before its text
to some               stop_sequences: not to Responses; images in a tool_result: not to chat.completions; a last
                      message of the assistant: to nobody else (see `conversation`)
dropped elsewhere     cache_control, service_tier, speed, diagnostics, citations of earlier answers: they change the
                      price, the speed or the books, not the answer. Earlier thinking: no other model can read it
refused elsewhere     everything else, such as top_k, documents, the tools that run at Anthropic, containers
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import msgspec

from tailrace.chat.ask import Effort, ResponseFormat, ToolChoice, ToolUse
from tailrace.chat.dialects.conversation import tie_image
from tailrace.chat.dialects.fields import present
from tailrace.chat.dialects.kinds import ANTHROPIC, CHAT, RESPONSES
from tailrace.chat.dialects.reading import Reading
from tailrace.chat.dialects.request import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tailrace.chat.dialects.conversation import Conversation
    from tailrace.chat.dialects.fields import Fields
    from tailrace.chat.dialects.request import Request

__all__ = ["read"]

_EFFORTS = get_args(Effort)
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_THOUGHTS = frozenset({"thinking", "redacted_thinking"})


def read(body: object) -> Request:
    """Return the request that `body` is.

    Raises:
        BadRequest: it is malformed; the error names the field.
    """
    reading = Reading("anthropic", ANTHROPIC, body)
    fields, conversation = reading.fields, reading.conversation
    present(fields.raw("messages"), "messages")
    for message in fields.objects("messages"):
        _message(message, conversation)
    said = _said(fields)
    ask = conversation.ask(said)
    fields.idle("cache_control", "service_tier", "speed", "diagnostics")
    return reading.request(ask, said["user"])


def _said(fields: Fields) -> dict[str, Any]:
    choice, parallel = _tool_choice(fields.nested("tool_choice"))
    effort, wanted = _output(fields.nested("output_config"))
    thinking, budget = _thinking(fields.nested("thinking"))
    stops = fields.texts("stop_sequences")
    if stops:
        fields.tie("stop_sequences", CHAT)
    return {
        "system": _system(fields) or None,
        "max_tokens": present(fields.integer("max_tokens", 1), "max_tokens"),
        "temperature": fields.number("temperature", 1),
        "top_p": fields.number("top_p", 1),
        "stop": stops,
        "tools": tuple(filter(None, map(_tool, fields.objects("tools")))),
        "tool_choice": choice,
        "parallel_tool_calls": parallel,
        "effort": effort,
        "thinking": thinking,
        "thinking_budget": budget,
        "response_format": wanted,
        "user": _user(fields.nested("metadata")),
    }


def _system(fields: Fields) -> str:
    system = fields.raw("system")
    if system is None or isinstance(system, str):
        return system or ""
    return "\n\n".join(filter(None, map(_text, fields.objects("system"))))


def _text(block: Fields) -> str:
    """Take a block that can only be text."""
    if block.required("type") != "text":
        block.tie_all()
        return ""
    block.idle("cache_control", "citations")
    text = block.required("text")
    block.tie_rest()
    return text


def _user(metadata: Fields | None) -> str | None:
    return None if metadata is None else metadata.text("user_id")


def _thinking(thinking: Fields | None) -> tuple[bool, int | None]:
    """Return whether the model is to think, and for how many tokens at most."""
    if thinking is None:
        return False, None
    kind = thinking.required("type")
    if kind not in ("enabled", "adaptive", "disabled"):
        thinking.tie("type")
    budget = thinking.integer("budget_tokens") if kind == "enabled" else None
    thinking.usual("display", "summarized")
    thinking.tie_rest()
    return kind in ("enabled", "adaptive"), budget


def _output(config: Fields | None) -> tuple[str | None, ResponseFormat | None]:
    """Return the effort and the form that the answer is to have."""
    if config is None:
        return None, None
    effort, wanted = config.choice("effort", _EFFORTS), config.nested("format")
    config.tie_rest()
    schema = None if wanted is None else wanted.nested("schema")
    if schema is None or wanted is None or wanted.text("type") != "json_schema":
        if wanted is not None:
            wanted.tie_all()
        return effort, None
    wanted.tie_rest()
    return effort, ResponseFormat("json_schema", schema.whole, strict=True)


def _tool(tool: Fields) -> dict[str, Any] | None:
    if tool.text("type") not in (None, "custom"):  # it runs at Anthropic
        tool.tie_all()
        return None
    schema = present(tool.nested("input_schema"), tool.place("input_schema"))
    said = {
        "name": tool.required("name"),
        "description": tool.text("description"),
        "input_schema": schema.whole,
        "strict": tool.flag("strict"),
    }
    tool.idle("cache_control", "eager_input_streaming")
    tool.tie_rest()
    return {key: value for key, value in said.items() if value is not None}


def _tool_choice(choice: Fields | None) -> tuple[ToolChoice | None, bool | None]:
    """Return the choice, and whether several tools may be called at once."""
    if choice is None:
        return None, None
    kind = choice.required("type")
    alone = choice.flag("disable_parallel_tool_use")
    parallel = None if alone is None else not alone
    if kind == "tool":
        return ToolChoice("tool", _named(choice, "name")), parallel
    if kind not in _CHOICES:
        choice.tie_all()
        return None, parallel
    return ToolChoice(_CHOICES[kind]), parallel  # type: ignore[arg-type]  # the table has such words alone


def _message(message: Fields, conversation: Conversation) -> None:
    role = message.required("role")
    if role not in ("user", "assistant", "system"):
        raise BadRequest("expected 'user' or 'assistant'", message.place("role"))
    content = message.raw("content")
    if isinstance(content, str):
        conversation.say(message, role, content)
    else:
        present(content, message.place("content"))
        _Turn(message, role, conversation).read()
    message.tie_rest()


class _Turn:
    """One message's blocks, on their way to as many messages of an `Ask` as it takes to keep their order."""

    def __init__(self, message: Fields, role: str, conversation: Conversation) -> None:
        self._message = message
        self._role = role
        self._conversation = conversation
        self._said: list[dict[str, Any]] = []
        self._calls: list[ToolUse] = []
        self._readers: dict[str, Callable[[Fields], None]] = {
            "text": self._read_text,
            **({"tool_use": self._read_call} if role == "assistant" else {}),
            **({"image": self._read_image, "tool_result": self._read_result} if role == "user" else {}),
        }

    def read(self) -> None:
        """Read all blocks."""
        blocks = self._message.objects("content")
        for block in blocks:
            kind = block.required("type")
            if kind in self._readers:
                self._readers[kind](block)
                block.idle("cache_control", "citations")
                block.tie_rest()
            elif kind not in _THOUGHTS:
                block.tie_all()
        self._flush()
        if not blocks:
            self._message.tie_all()

    def _flush(self) -> None:
        if self._calls:
            self._conversation.say(self._message, self._role, self._said, tool_calls=tuple(self._calls))
        elif self._said:
            self._conversation.say(self._message, self._role, self._said)
        self._said, self._calls = [], []

    def _read_text(self, block: Fields) -> None:
        if self._calls:
            self._flush()
        text = block.required("text")
        if text:
            self._said.append({"type": "text", "text": text})

    def _read_image(self, block: Fields) -> None:
        if (said := _image(block)) is not None:
            self._said.append(said)

    def _read_call(self, block: Fields) -> None:
        given = present(block.nested("input"), block.place("input"))
        arguments = msgspec.json.encode(given.whole).decode()
        self._calls.append(ToolUse(block.required("id"), block.required("name"), arguments))
        block.idle("caller")

    def _read_result(self, block: Fields) -> None:
        self._flush()
        call, failed = _named(block, "tool_use_id"), block.flag("is_error") or False
        self._conversation.say(block, "tool", _result(block), tool_call_id=call, is_error=failed)


def _named(fields: Fields, name: str) -> str:
    """Take a string that names something."""
    value = fields.required(name)
    if not value:
        raise BadRequest("this must not be empty", fields.place(name))
    return value


def _result(block: Fields) -> str | list[dict[str, Any]]:
    content = block.raw("content")
    if content is None or isinstance(content, str):
        return content or ""
    said = []
    for part in block.objects("content"):
        if part.required("type") != "image":
            text = _text(part)
            said += [{"type": "text", "text": text}] if text else []
        elif (shown := _image(part)) is not None:
            part.tie_all(RESPONSES)
            said.append(shown)
    return said


def _image(block: Fields) -> dict[str, Any] | None:
    source = present(block.nested("source"), block.place("source"))
    match source.whole:
        case {"type": "url", "url": str(url)}:
            tie_image(url, source, "url")
        case {"type": "base64", "media_type": str(), "data": str()}:
            pass
        case _:
            source.tie_all()
            return None
    block.idle("type", "cache_control")
    return {"type": "image", "source": source.whole}
