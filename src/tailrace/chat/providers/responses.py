"""OpenAI Responses, and those that speak it.

The request is what the official SDK sends to `POST {base_url}/responses` (its base URL includes
`/v1`). Nothing is expected to be kept there: each request carries its whole conversation. Unknown
events and items are passed over; an item that came without its deltas is read when it is complete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from tailrace.chat import failures
from tailrace.chat.providers import responses_request
from tailrace.chat.providers.openai import OpenAI
from tailrace.chat.providers.parser import Parser, ToolCalls
from tailrace.chat.providers.replayed import without_foreign_items
from tailrace.chat.providers.streamed import StreamedProvider
from tailrace.runs.deltas import Finish, Refusal, Text, Thinking, ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tailrace.chat.ask import Ask
    from tailrace.runs.deltas import Delta

__all__ = ["OpenAIResponses", "OpenAIResponsesParser"]

_INCOMPLETE = {"max_output_tokens": "length"}
_BETWEEN_SUMMARIES = "\n\n"
_END_MARK = "[DONE]"  # some imitations end their streams as chat.completions does


class OpenAIResponses(StreamedProvider):
    """A provider of kind `openai-responses`."""

    kind: ClassVar[str] = "openai-responses"
    path: ClassVar[str] = "/responses"
    public_url: ClassVar[str] = OpenAI.public_url

    @staticmethod
    def headers(api_key: str) -> dict[str, str]:
        """Return the key as a bearer token, where there is one."""
        return OpenAI.headers(api_key)

    def request(self, ask: Ask) -> dict[str, Any]:
        """Write `ask` as a Responses request."""
        return responses_request.write(ask)

    @classmethod
    def relay_request(cls, body: Mapping[str, Any], model: str) -> dict[str, Any]:
        """Return a caller's own Responses body, but for reasoning of other models."""
        return super().relay_request(without_foreign_items(body), model)

    @staticmethod
    def parser() -> Parser:
        """Return a parser for one answer."""
        return OpenAIResponsesParser()


class _Part(msgspec.Struct):
    type: str = ""
    text: str = ""
    refusal: str = ""


class _Item(msgspec.Struct):
    type: str = ""
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    content: list[_Part] | None = None
    summary: list[_Part] | None = None


class _Read(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _Written(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _Read | None = None
    output_tokens_details: _Written | None = None

    def delta(self) -> Usage:
        read, written = self.input_tokens_details or _Read(), self.output_tokens_details or _Written()
        return Usage(
            self.input_tokens,
            self.output_tokens,
            read.cached_tokens,
            read.cache_write_tokens,
            written.reasoning_tokens,
        )


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    usage: _Usage | None = None
    error: Any = None
    incomplete_details: _Incomplete | None = None


class _Frame(msgspec.Struct):
    """All frames in one shape: a union by `type` would refuse the types that are not known yet."""

    type: str
    output_index: int = 0
    summary_index: int = 0
    delta: str = ""
    arguments: str | None = None
    item: _Item | None = None
    response: _Response | None = None
    error: Any = None
    message: str | None = None
    code: str | int | None = None
    param: Any = None


class _Type(msgspec.Struct):
    type: str


_decode = msgspec.json.Decoder(_Frame).decode
_decode_type = msgspec.json.Decoder(_Type).decode


class OpenAIResponsesParser(Parser):
    """Reads one Responses stream."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = ToolCalls()
        self._spoken: set[int] = set()  # items of which something was said
        self._argued: set[int] = set()  # calls of which arguments were given

    def _read(self, data: str, deltas: list[Delta]) -> None:
        if data.startswith(_END_MARK):
            return
        try:
            frame = _decode(data)
        except msgspec.ValidationError:
            if _decode_type(data).type in self._READERS:
                raise
            return  # an event of a later version of the API, or of a tool that runs at the provider
        if frame.type == "response.output_text.delta":  # nearly every frame of an answer
            self._read_text(frame, deltas)
        elif reader := self._READERS.get(frame.type):
            reader(self, frame, deltas)

    def _read_text(self, frame: _Frame, deltas: list[Delta]) -> None:
        if frame.delta:
            self._spoken.add(frame.output_index)
            deltas.append(Text(frame.delta))

    def _read_refusal(self, frame: _Frame, deltas: list[Delta]) -> None:
        if frame.delta:
            self._spoken.add(frame.output_index)
            deltas.append(Refusal(frame.delta))

    def _read_thinking(self, frame: _Frame, deltas: list[Delta]) -> None:
        if frame.delta:
            self._spoken.add(frame.output_index)
            deltas.append(Thinking(frame.delta))

    def _read_summary_start(self, frame: _Frame, deltas: list[Delta]) -> None:
        if frame.summary_index and frame.output_index in self._spoken:
            deltas.append(Thinking(_BETWEEN_SUMMARIES))

    def _read_item_start(self, frame: _Frame, deltas: list[Delta]) -> None:
        item = frame.item
        if item is not None and item.type == "function_call":
            index = self._calls.begin(frame.output_index)
            deltas.append(ToolCall(index, item.call_id or "", item.name or ""))

    def _read_arguments(self, frame: _Frame, deltas: list[Delta]) -> None:
        self._give_arguments(frame.output_index, frame.delta, deltas)

    def _read_arguments_end(self, frame: _Frame, deltas: list[Delta]) -> None:
        if frame.output_index not in self._argued:
            self._give_arguments(frame.output_index, frame.arguments, deltas)

    def _give_arguments(self, output: int, piece: str | None, deltas: list[Delta]) -> None:
        call = self._calls.get(output)
        if call is not None and piece:
            self._argued.add(output)
            deltas.append(ToolCall(call, arguments=piece))

    def _read_item_end(self, frame: _Frame, deltas: list[Delta]) -> None:
        item, output = frame.item, frame.output_index
        if item is None:
            return
        if item.type == "function_call":
            if self._calls.get(output) is None:
                self._read_item_start(frame, deltas)
            if output not in self._argued:
                self._give_arguments(output, item.arguments, deltas)
        elif output not in self._spoken:
            deltas += _whole(item)

    def _read_end(self, frame: _Frame, deltas: list[Delta]) -> None:
        response = frame.response or _Response()
        if response.usage is not None:
            deltas.append(response.usage.delta())
        if frame.type == "response.incomplete":
            details = response.incomplete_details or _Incomplete()
            reason = _INCOMPLETE.get(details.reason or "", details.reason or "length")
        else:
            reason = "tool_calls" if self._calls else "stop"
        deltas.append(Finish(reason))
        self.finished = True

    def _read_failure(self, frame: _Frame, deltas: list[Delta]) -> None:
        response = frame.response or _Response()
        if response.usage is not None:
            deltas.append(response.usage.delta())
        # What the documentation has beside `type`, the service itself nests in `error`.
        flat = {"message": frame.message, "code": frame.code, "param": frame.param}
        raise failures.reported(frame.error or response.error or flat)

    _READERS: ClassVar[dict[str, Callable[[OpenAIResponsesParser, _Frame, list[Delta]], None]]] = {
        "response.output_text.delta": _read_text,
        "response.refusal.delta": _read_refusal,
        "response.reasoning_text.delta": _read_thinking,
        "response.reasoning_summary_text.delta": _read_thinking,
        "response.reasoning_summary_part.added": _read_summary_start,
        "response.output_item.added": _read_item_start,
        "response.function_call_arguments.delta": _read_arguments,
        "response.function_call_arguments.done": _read_arguments_end,
        "response.output_item.done": _read_item_end,
        "response.completed": _read_end,
        "response.incomplete": _read_end,
        "response.failed": _read_failure,
        "error": _read_failure,
    }


def _whole(item: _Item) -> list[Delta]:
    """Return what an item says that had no deltas."""
    if item.type == "reasoning":
        text = _BETWEEN_SUMMARIES.join(part.text for part in item.summary or item.content or ())
        return [Thinking(text)] if text else []
    if item.type != "message":
        return []
    said = (Refusal(part.refusal) if part.type == "refusal" else Text(part.text) for part in item.content or ())
    return [delta for delta in said if delta.text]
