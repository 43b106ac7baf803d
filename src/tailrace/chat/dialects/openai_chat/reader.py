"""Reading a chat.completions request. Where another kind of provider is asked, its fields are

said to all kinds     messages (text, images, tool calls and results), max_tokens or max_completion_tokens,
                      temperature, top_p, tools, tool_choice, parallel_tool_calls, reasoning_effort,
                      response_format, user or safety_identifier
to some               stop: not to Responses; verbosity, temperature over 1, reasoning_effort `minimal`, any JSON
                      object as response_format, an image's detail: not to Anthropic; see also `conversation`
dropped elsewhere     metadata, store, service_tier, prompt_cache_*, prediction, stream_options.include_obfuscation:
                      they change the price, the speed or the books, not the answer
refused elsewhere     everything else, such as n, logprobs, logit_bias, seed, penalties, audio, files
"""

from __future__ import annotations

from typing import Any

from tailrace.chat.ask import ResponseFormat, ToolChoice, ToolUse
from tailrace.chat.dialects.conversation import Conversation, tie_image
from tailrace.chat.dialects.fields import Fields, present
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
from tailrace.chat.dialects.request import BadRequest, Request

__all__ = ["read"]

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
_USUAL: tuple[tuple[str, Any], ...] = (
    ("n", 1),
    ("logprobs", False),
    ("top_logprobs", 0),
    ("logit_bias", {}),
    ("frequency_penalty", 0),
    ("presence_penalty", 0),
    ("modalities", ["text"]),
)
"""Fields that no other API has, with the values at which they say nothing."""


def read(body: object) -> Request:
    """Return the request that `body` is.

    Raises:
        BadRequest: it is malformed; the error names the field.
    """
    reading = Reading("openai-chat", CHAT, body)
    fields, conversation = reading.fields, reading.conversation
    include_usage = _stream_options(fields.nested("stream_options"))
    present(fields.raw("messages"), "messages")
    for message in fields.objects("messages"):
        _message(message, conversation)
    said = _said(fields)
    ask = conversation.ask(said)
    fields.idle(*IDLE, "prediction")
    for name, usual in _USUAL:
        fields.usual(name, usual)
    return reading.request(ask, said["user"], include_usage=include_usage)


def _stream_options(options: Fields | None) -> bool:
    if options is None:
        return False
    options.idle("include_obfuscation")
    include_usage = options.flag("include_usage") or False
    options.tie_rest()
    return include_usage


def _said(fields: Fields) -> dict[str, Any]:
    limits = fields.integer("max_completion_tokens", 1), fields.integer("max_tokens", 1)
    user = fields.text("safety_identifier"), fields.text("user")
    return {
        "max_tokens": limits[1] if limits[0] is None else limits[0],
        "temperature": temperature_of(fields),
        "top_p": fields.number("top_p", 1),
        "stop": _stop(fields),
        "tools": tuple(filter(None, map(_tool, fields.objects("tools")))),
        "tool_choice": _tool_choice(fields),
        "parallel_tool_calls": fields.flag("parallel_tool_calls"),
        "effort": effort_of(fields, "reasoning_effort"),
        "verbosity": verbosity_of(fields),
        "response_format": _format(fields.nested("response_format")),
        "user": user[0] or user[1],
    }


def _stop(fields: Fields) -> tuple[str, ...]:
    stop = fields.raw("stop")
    stops = (stop,) if isinstance(stop, str) else fields.texts("stop")
    if stops:
        fields.tie("stop", ANTHROPIC)
    return stops


def _tool(tool: Fields) -> dict[str, Any] | None:
    if tool.required("type") != "function":
        tool.tie_all()
        return None
    function = present(tool.nested("function"), tool.place("function"))
    tool.tie_rest()
    return {"type": "function", "function": function_of(function)}


def _tool_choice(fields: Fields) -> ToolChoice | None:
    choice = fields.raw("tool_choice")
    if isinstance(choice, dict):
        match choice:
            case {"type": "function", "function": {"name": str(name)}} if name:
                return ToolChoice("tool", name)
        fields.tie("tool_choice")
        return None
    return mode_of(fields)


def _format(wanted: Fields | None) -> ResponseFormat | None:
    if wanted is None:
        return None
    kind = wanted.required("type")
    if kind == "json_schema":
        return schema_of(present(wanted.nested("json_schema"), wanted.place("json_schema")))
    return simple_format(wanted, kind)


def _message(message: Fields, conversation: Conversation) -> None:
    role = message.required("role")
    if role == "function":  # of a time before tools
        message.tie_all()
        return
    if role not in _ROLES:
        raise BadRequest(f"expected one of {', '.join(sorted(_ROLES))}", message.place("role"))
    content = _content(message, role)
    calls = tuple(filter(None, map(_call, message.objects("tool_calls")))) if role == "assistant" else ()
    if role == "tool":
        conversation.say(message, role, content, tool_call_id=_result_of(message))
    elif calls:
        conversation.say(message, role, content, tool_calls=calls)
    else:
        conversation.say(message, role, content)
    # What some servers let an assistant's earlier reasoning be told by; it is of no use to another model.
    message.idle("reasoning_content", "reasoning", "annotations")
    message.tie_rest()


def _result_of(message: Fields) -> str:
    call = message.required("tool_call_id")
    if not call:
        raise BadRequest("expected the id of a tool call", message.place("tool_call_id"))
    return call


def _call(call: Fields) -> ToolUse | None:
    if call.text("type") not in (None, "function"):
        call.tie_all()
        return None
    function = present(call.nested("function"), call.place("function"))
    use = ToolUse(call.required("id"), function.required("name"), function.text("arguments") or "")
    call.idle("index")
    call.tie_rest()
    function.tie_rest()
    return use


def _content(message: Fields, role: str) -> str | list[dict[str, Any]]:
    content = message.raw("content")
    refusal = message.text("refusal") if role == "assistant" else None
    if isinstance(content, str) and not refusal:
        return content
    said = [{"type": "refusal", "refusal": refusal}] if refusal else []
    if content is None or isinstance(content, str):
        return [{"type": "text", "text": content}, *said] if content else said
    return [*filter(None, (_part(part, role) for part in message.objects("content"))), *said]


def _part(part: Fields, role: str) -> dict[str, Any] | None:
    kind = part.required("type")
    part.idle("cache_control", "prompt_cache_breakpoint")
    if kind == "text":
        text = part.required("text")
        part.tie_rest()
        return {"type": "text", "text": text} if text else None
    if kind == "refusal" and role == "assistant":
        return {"type": "refusal", "refusal": part.required("refusal")}
    if kind == "image_url" and role == "user":
        return _image(part)
    part.tie_all()
    return None


def _image(part: Fields) -> dict[str, Any]:
    source = present(part.nested("image_url"), part.place("image_url"))
    url, detail = source.required("url"), source.text("detail")
    tie_image(url, source, "url")
    source.tie_rest()
    part.tie_rest()
    if detail in (None, "auto"):
        return {"type": "image_url", "image_url": {"url": url}}
    source.tie("detail", CHAT, RESPONSES)
    return {"type": "image_url", "image_url": {"url": url, "detail": detail}}
