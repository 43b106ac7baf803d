"""OpenAI chat.completions, and the many that imitate it.

The request is what the official SDK sends to `POST {base_url}/chat/completions` (its base URL
includes `/v1`). The stream is read generously: every tolerance below is the habit of some
OpenAI-compatible server, and each has its test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from tailrace.chat import failures
from tailrace.chat.providers import openai_request
from tailrace.chat.providers.parser import Parser, ToolCalls
from tailrace.chat.providers.streamed import StreamedProvider
from tailrace.runs.deltas import Finish, Refusal, Text, Thinking, ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tailrace.chat.ask import Ask
    from tailrace.runs.deltas import Delta

__all__ = ["OpenAI", "OpenAIParser"]

_TERMINAL = "[DONE]"
_OPENAI_HOST = "api.openai.com"


class OpenAI(StreamedProvider):
    """A provider of kind `openai`."""

    kind: ClassVar[str] = "openai"
    path: ClassVar[str] = "/chat/completions"
    public_url: ClassVar[str] = "https://api.openai.com/v1"

    @staticmethod
    def headers(api_key: str) -> dict[str, str]:
        """Return the key as a bearer token, where there is one (local servers need none)."""
        return {"Authorization": f"Bearer {api_key}"} if api_key else {}

    def request(self, ask: Ask) -> dict[str, Any]:
        """Write `ask` as a chat.completions request."""
        # OpenAI's reasoning models refuse the old name; many of its imitations know no other.
        return openai_request.write(ask, "max_completion_tokens" if self._url.host == _OPENAI_HOST else "max_tokens")

    @classmethod
    def relay_request(cls, body: Mapping[str, Any], model: str) -> dict[str, Any]:
        """Return a caller's own chat.completions body, its usage asked for as well."""
        options = {**(body.get("stream_options") or {}), "include_usage": True}
        return {**super().relay_request(body, model), "stream_options": options}

    @staticmethod
    def parser() -> Parser:
        """Return a parser for one answer."""
        return OpenAIParser()


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _ToolCall(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    finish_reason: str | None = None
    index: int | None = 0


class _Read(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _Written(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Read | None = None
    completion_tokens_details: _Written | None = None

    def delta(self) -> Usage:
        read, written = self.prompt_tokens_details or _Read(), self.completion_tokens_details or _Written()
        return Usage(
            self.prompt_tokens,
            self.completion_tokens,
            read.cached_tokens,
            read.cache_write_tokens,
            written.reasoning_tokens,
        )


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None
    message: Any = None
    type: str | None = None
    code: int | str | None = None
    param: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode


class OpenAIParser(Parser):
    """Reads one chat.completions stream."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = ToolCalls()
        self._ids: dict[int, str] = {}
        self._usage: Usage | None = None
        self._finish_reason = ""

    def _read(self, data: str, deltas: list[Delta]) -> None:
        if data.startswith(_TERMINAL):
            self._read_terminal(deltas)
            return
        chunk = _decode(data)
        if chunk.choices:
            for choice in chunk.choices:
                if not choice.index:  # one answer was asked for
                    self._read_choice(choice, deltas)
        elif chunk.error is None and chunk.message is not None:  # vLLM's: the error is the frame itself
            flat = {"message": chunk.message, "type": chunk.type, "code": chunk.code, "param": chunk.param}
            raise failures.reported(flat)
        if chunk.usage is not None:  # null on all but the last, or cumulative on each
            self._usage = chunk.usage.delta()
        if chunk.error is not None:
            if self._usage is not None:
                deltas.append(self._usage)
            raise failures.reported(chunk.error)

    def _read_choice(self, choice: _Choice, deltas: list[Delta]) -> None:
        if choice.finish_reason:
            self._finish_reason = choice.finish_reason
        delta = choice.delta
        if delta is None:
            return
        # A chunk may carry both; the reasoning came first.
        thought = delta.reasoning_content or delta.reasoning
        if thought and isinstance(thought, str):
            deltas.append(Thinking(thought))
        if delta.content:
            deltas.append(Text(delta.content))
        if delta.refusal:
            deltas.append(Refusal(delta.refusal))
        for call in delta.tool_calls or ():
            self._read_tool_call(call, deltas)

    def _read_tool_call(self, call: _ToolCall, deltas: list[Delta]) -> None:
        function = call.function or _Function()
        arguments = function.arguments or ""
        if not isinstance(arguments, str):  # an object, whole, instead of its text
            arguments = msgspec.json.encode(arguments).decode()
        index = self._ongoing(call)
        if index is None:
            index = self._calls.begin(_key(call))
            self._ids[index] = call.id or ""
            deltas.append(ToolCall(index, call.id or "", function.name or "", arguments))
        elif arguments:
            deltas.append(ToolCall(index, arguments=arguments))

    def _ongoing(self, call: _ToolCall) -> int | None:
        """Return the number of the call that this fragment goes on with; None where it begins one.

        Some servers leave out `index`, some give the same one to every parallel call, some repeat
        `id` and `name` on each fragment: another id is another call, the same or none is not.
        """
        index = self._calls.get(_key(call))
        if index is None or (call.id and self._ids[index] and call.id != self._ids[index]):
            return None
        return index

    def _read_terminal(self, deltas: list[Delta]) -> None:
        if self._usage is not None:
            deltas.append(self._usage)
        # Some send a terminal but no reason; what the answer holds tells it.
        reason = self._finish_reason or ("tool_calls" if self._calls else "stop")
        deltas.append(Finish("tool_calls" if reason == "function_call" else reason))
        self.finished = True


def _key(call: _ToolCall) -> int:
    """Return what the fragment's call is known by; all that have no index share a place, which the newest holds."""
    return -1 if call.index is None else call.index
