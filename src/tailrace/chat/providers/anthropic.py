"""Anthropic Messages, and those that speak it.

The request is what the official SDK sends to `POST {base_url}/v1/messages`; the stream is read as
that API's documentation and the SDK's own fixtures have it. Unknown events, blocks and deltas are
passed over, as the API asks of its clients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from tailrace.chat import failures
from tailrace.chat.providers import anthropic_request
from tailrace.chat.providers.parser import Parser, ToolCalls
from tailrace.chat.providers.replayed import without_foreign_thoughts
from tailrace.chat.providers.streamed import StreamedProvider
from tailrace.runs.deltas import Finish, Text, Thinking, ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tailrace.chat.ask import Ask
    from tailrace.runs.deltas import Delta

__all__ = ["Anthropic", "AnthropicParser"]

_VERSION = "2023-06-01"

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
}


class Anthropic(StreamedProvider):
    """A provider of kind `anthropic`."""

    kind: ClassVar[str] = "anthropic"
    path: ClassVar[str] = "/v1/messages"
    public_url: ClassVar[str] = "https://api.anthropic.com"

    @staticmethod
    def headers(api_key: str) -> dict[str, str]:
        """Return the version and, where there is one, the key."""
        version = {"anthropic-version": _VERSION}
        return {**version, "x-api-key": api_key} if api_key else version

    def request(self, ask: Ask) -> dict[str, Any]:
        """Write `ask` as a Messages request."""
        return anthropic_request.write(ask)

    @classmethod
    def relay_request(cls, body: Mapping[str, Any], model: str) -> dict[str, Any]:
        """Return a caller's own Messages body, but for thoughts of other models."""
        return super().relay_request(without_foreign_thoughts(body), model)

    @staticmethod
    def parser() -> Parser:
        """Return a parser for one answer."""
        return AnthropicParser()


class _Written(msgspec.Struct):
    thinking_tokens: int | None = None


class _Usage(msgspec.Struct):
    """The counts as the API has them: what the cache had part in does not count as `input_tokens` there."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: _Written | None = None

    def updated(self, said: _Usage) -> _Usage:
        """Return the counts after `said`, which is cumulative and may leave out what was said before."""
        named = {name: count for name, count in msgspec.structs.asdict(said).items() if count is not None}
        return msgspec.structs.replace(self, **named)

    def delta(self) -> Usage:
        read, created = self.cache_read_input_tokens, self.cache_creation_input_tokens
        fresh, written = self.input_tokens, self.output_tokens_details or _Written()
        total = None if fresh is None else fresh + (read or 0) + (created or 0)
        return Usage(total, self.output_tokens, read, created, written.thinking_tokens)


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _Block(msgspec.Struct):
    type: str = ""
    id: str = ""
    name: str = ""
    text: str = ""
    thinking: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Frame(msgspec.Struct):
    """All frames in one shape: a union by `type` would refuse the types that are not known yet."""

    type: str
    index: int = 0
    delta: _Delta | None = None
    content_block: _Block | None = None
    message: _Message | None = None
    usage: _Usage | None = None
    error: Any = None


class _Type(msgspec.Struct):
    type: str


_decode = msgspec.json.Decoder(_Frame).decode
_decode_type = msgspec.json.Decoder(_Type).decode


class AnthropicParser(Parser):
    """Reads one Messages stream."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = ToolCalls()
        self._whole_inputs: dict[int, str] = {}
        self._usage = _Usage()
        self._stop_reason: str | None = None

    def _read(self, data: str, deltas: list[Delta]) -> None:
        try:
            frame = _decode(data)
        except msgspec.ValidationError:
            if _decode_type(data).type in self._READERS:
                raise
            return  # an event of a later version of the API
        if frame.type == "content_block_delta":  # nearly every frame of an answer
            self._read_delta(frame, deltas)
        elif reader := self._READERS.get(frame.type):
            reader(self, frame, deltas)

    def _read_delta(self, frame: _Frame, deltas: list[Delta]) -> None:
        delta = frame.delta
        if delta is None:
            return
        kind = delta.type
        if kind == "text_delta":
            if delta.text:
                deltas.append(Text(delta.text))
        elif kind == "input_json_delta":
            self._read_arguments(frame.index, delta.partial_json, deltas)
        elif kind == "thinking_delta" and delta.thinking:
            deltas.append(Thinking(delta.thinking))

    def _read_arguments(self, block: int, piece: str, deltas: list[Delta]) -> None:
        call = self._calls.get(block)
        if call is not None and piece:  # None: a server-side tool's input is not the client's to answer
            self._whole_inputs.pop(block, None)
            deltas.append(ToolCall(call, arguments=piece))

    def _read_start(self, frame: _Frame, deltas: list[Delta]) -> None:
        if frame.message is not None and frame.message.usage is not None:
            # The output count of a start is a placeholder; told now, it would be all that an aborted answer shows.
            self._usage = msgspec.structs.replace(frame.message.usage, output_tokens=None)
            if self._usage.input_tokens is not None:
                deltas.append(self._usage.delta())

    def _read_block_start(self, frame: _Frame, deltas: list[Delta]) -> None:
        block = frame.content_block
        if block is None:
            return
        if block.type == "text" and block.text:
            deltas.append(Text(block.text))
        elif block.type == "thinking" and block.thinking:
            deltas.append(Thinking(block.thinking))
        elif block.type == "tool_use":
            deltas.append(ToolCall(self._calls.begin(frame.index), block.id, block.name))
            if (whole := bytes(block.input).decode()) not in ("{}", "null"):
                self._whole_inputs[frame.index] = whole

    def _read_block_stop(self, frame: _Frame, deltas: list[Delta]) -> None:
        # Some imitations give a tool's whole input with the start of its block, and no deltas after it.
        if whole := self._whole_inputs.get(frame.index):
            self._read_arguments(frame.index, whole, deltas)

    def _read_message_delta(self, frame: _Frame, deltas: list[Delta]) -> None:
        if frame.delta is not None and frame.delta.stop_reason:
            self._stop_reason = frame.delta.stop_reason
        if frame.usage is not None:
            self._usage = self._usage.updated(frame.usage)

    def _read_stop(self, frame: _Frame, deltas: list[Delta]) -> None:
        if self._usage != _Usage():
            deltas.append(self._usage.delta())
        reason = self._stop_reason or "end_turn"
        deltas.append(Finish(_FINISH.get(reason, reason)))
        self.finished = True

    def _read_error(self, frame: _Frame, deltas: list[Delta]) -> None:
        if self._usage.output_tokens is not None:
            deltas.append(self._usage.delta())
        raise failures.reported(frame.error)

    _READERS: ClassVar[dict[str, Callable[[AnthropicParser, _Frame, list[Delta]], None]]] = {
        "message_start": _read_start,
        "content_block_start": _read_block_start,
        "content_block_delta": _read_delta,
        "content_block_stop": _read_block_stop,
        "message_delta": _read_message_delta,
        "message_stop": _read_stop,
        "error": _read_error,
    }
