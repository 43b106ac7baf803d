"""Reading a Responses request. Where another kind of provider is asked, its fields are

said to all kinds     input (text, images, function calls and their outputs), instructions, max_output_tokens,
                      temperature, top_p, function tools, tool_choice, parallel_tool_calls, reasoning.effort,
                      reasoning.summary (as the wish to see the reasoning), text.format, user or safety_identifier
to some               text.verbosity, temperature over 1, effort `minimal`, any JSON object as text.format, an image's
                      detail: not to Anthropic; images in a function's output: not to chat.completions; see also
                      `conversation`
ours                  background: the run goes on by itself, whichever provider answers
dropped elsewhere     metadata, store, service_tier, prompt_cache_*, stream_options, include of
                      `reasoning.encrypted_content`, the ids and states of items: they do not change the answer.
                      Earlier reasoning items: no other model can read them
refused elsewhere     everything else, such as previous_response_id, conversation, prompt, item references,
                      the tools that run at OpenAI, truncation `auto`, logprobs, files
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tailrace.chat.ask import ToolChoice, ToolUse
from tailrace.chat.dialects.conversation import tie_image
from tailrace.chat.dialects.kinds import ANTHROPIC, CHAT, RESPONSES
from tailrace.chat.dialects.openai_fields import (
    IDLE,
    effort_of,
    function_of,
    mode_of,
    schema_of,
    simple_format,
    temperature_of,
    verbosity_of,
)
from tailrace.chat.dialects.reading import Reading
from tailrace.chat.dialects.request import BadRequest

if TYPE_CHECKING:
    from tailrace.chat.ask import ResponseFormat
    from tailrace.chat.dialects.conversation import Conversation
    from tailrace.chat.dialects.fields import Fields
    from tailrace.chat.dialects.request import Request

__all__ = ["read"]

_ROLES = frozenset({"system", "developer", "user", "assistant"})
_TEXTS = frozenset({"input_text", "output_text", "text"})


def read(body: object) -> Request:
    """Return the request that `body` is.

    Raises:
        BadRequest: it is malformed; the error names the field.
    """
    reading = Reading("openai-responses", RESPONSES, body)
    fields, conversation = reading.fields, reading.conversation
    background = fields.flag("background") or False
    _input(fields, conversation)
    said = _said(fields)
    ask = conversation.ask(said)
    if ask is None:
        fields.tie("input")
    _pass_over(fields)
    return reading.request(ask, said["user"], background=background)


def _pass_over(fields: Fields) -> None:
    fields.idle(*IDLE, "stream_options")
    fields.usual("include", ["reasoning.encrypted_content"])
    fields.usual("truncation", "disabled")
    fields.usual("top_logprobs", 0)


def _said(fields: Fields) -> dict[str, Any]:
    effort, thinking = _reasoning(fields.nested("reasoning"))
    text = fields.nested("text")
    user = fields.text("safety_identifier"), fields.text("user")
    return {
        "system": fields.text("instructions") or None,
        "max_tokens": fields.integer("max_output_tokens", 1),
        "temperature": temperature_of(fields),
        "top_p": fields.number("top_p", 1),
        "tools": tuple(filter(None, map(_tool, fields.objects("tools")))),
        "tool_choice": _tool_choice(fields),
        "parallel_tool_calls": fields.flag("parallel_tool_calls"),
        "effort": effort,
        "thinking": thinking,
        "verbosity": None if text is None else verbosity_of(text),
        "response_format": None if text is None else _format(text),
        "user": user[0] or user[1],
    }


def _reasoning(reasoning: Fields | None) -> tuple[str | None, bool]:
    """Return the effort, and whether the reasoning is to be seen."""
    if reasoning is None:
        return None, False
    effort = effort_of(reasoning, "effort")
    shown = reasoning.raw("summary") or reasoning.raw("generate_summary")
    reasoning.tie_rest()
    return effort, bool(shown)


def _format(text: Fields) -> ResponseFormat | None:
    wanted = text.nested("format")
    text.tie_rest()
    if wanted is None:
        return None
    kind = wanted.required("type")
    return schema_of(wanted) if kind == "json_schema" else simple_format(wanted, kind)


def _tool(tool: Fields) -> dict[str, Any] | None:
    if tool.required("type") != "function":
        tool.tie_all()
        return None
    return {"type": "function", **function_of(tool)}


def _tool_choice(fields: Fields) -> ToolChoice | None:
    match fields.raw("tool_choice"):
        case {"type": "function", "name": str(name)} if name:
            return ToolChoice("tool", name)
        case dict():
            fields.tie("tool_choice")
            return None
    return mode_of(fields)


def _input(fields: Fields, conversation: Conversation) -> None:
    asked = fields.raw("input")
    if isinstance(asked, str):
        if asked:
            conversation.say(fields, "user", asked)
    elif asked is not None:
        for item in fields.objects("input"):
            _item(item, conversation)


def _item(item: Fields, conversation: Conversation) -> None:
    match item.text("type") or "message":
        case "message":
            _message(item, conversation)
        case "function_call":
            call = ToolUse(item.required("call_id"), item.required("name"), item.text("arguments") or "")
            conversation.say(item, "assistant", "", tool_calls=(call,))
            _tie_rest(item)
        case "function_call_output":
            _output(item, conversation)
        case "reasoning":
            pass
        case _:
            item.tie_all()


def _message(item: Fields, conversation: Conversation) -> None:
    role = item.required("role")
    if role not in _ROLES:
        raise BadRequest(f"expected one of {', '.join(sorted(_ROLES))}", item.place("role"))
    conversation.say(item, role, _content(item, "content", images=role == "user"))
    _tie_rest(item)


def _output(item: Fields, conversation: Conversation) -> None:
    call = item.required("call_id")
    if not call:
        raise BadRequest("expected the id of a function call", item.place("call_id"))
    conversation.say(item, "tool", _content(item, "output", images=True, of_tool=True), tool_call_id=call)
    _tie_rest(item)


def _tie_rest(item: Fields) -> None:
    item.idle("id", "status", "phase")
    item.tie_rest()


def _content(item: Fields, name: str, *, images: bool, of_tool: bool = False) -> str | list[dict[str, Any]]:
    content = item.raw(name)
    if content is None or isinstance(content, str):
        return content or ""
    said = []
    for part in item.objects(name):
        kind = part.required("type")
        if kind in _TEXTS:
            text = part.required("text")
            said += [{"type": "text", "text": text}] if text else []
        elif kind == "refusal":
            said.append({"type": "refusal", "refusal": part.required("refusal")})
        elif kind == "input_image" and images and part.has("image_url"):
            said.append(_image(part))
            if of_tool:
                part.tie_all(ANTHROPIC)
        else:
            part.tie_all()
    return said


def _image(part: Fields) -> dict[str, Any]:
    url, detail = part.required("image_url"), part.text("detail")
    tie_image(url, part, "image_url")
    part.tie_rest()
    if detail in (None, "auto"):
        return {"type": "input_image", "image_url": url}
    part.tie("detail", CHAT, RESPONSES)
    return {"type": "input_image", "image_url": url, "detail": detail}
