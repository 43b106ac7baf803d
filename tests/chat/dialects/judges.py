"""The published SDKs as judges of our bytes: what do they make of a stream, or of a whole answer?

The SDK's own client reads the bytes over a transport that only pretends to be a network.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import openai

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["JUDGES", "Verdict", "chat_verdict", "messages_verdict", "responses_verdict"]

URL = "http://judge.test"
ASKED: list[Any] = [{"role": "user", "content": "Hi"}]


@dataclass
class Verdict:
    """What the SDK has understood, in words that are the same for all of them."""

    text: str
    refusal: str
    thinking: str
    calls: list[tuple[str, str, Any]]
    reason: str | None
    usage: tuple[int, int, int, int] | None
    """Input, output, cached input and reasoning tokens."""


class _Pieces(httpx2.SyncByteStream):
    def __init__(self, wire: bytes, sizes: Sequence[int]) -> None:
        self._wire, self._sizes = wire, sizes

    def __iter__(self) -> Iterator[bytes]:
        start = turn = 0
        while start < len(self._wire):
            size = self._sizes[turn % len(self._sizes)]
            yield self._wire[start : start + size]
            start, turn = start + size, turn + 1


def _http(wire: bytes, sizes: Sequence[int], *, stream: bool = True) -> httpx2.Client:
    kind = "text/event-stream" if stream else "application/json"

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": kind}, stream=_Pieces(wire, sizes))

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def _openai(http: httpx2.Client) -> openai.OpenAI:
    return openai.OpenAI(api_key="k", base_url=URL, http_client=http, max_retries=0)


def _arguments(text: str) -> Any:
    """Arguments by their meaning where they have one: Anthropic's SDK shows nothing else."""
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def chat(wire: bytes, sizes: Sequence[int] = (65_536,)) -> Verdict:
    """Read a chat.completions stream as `client.chat.completions.stream` does."""
    with (
        _openai(_http(wire, sizes)) as client,
        client.chat.completions.stream(model="m", messages=ASKED) as stream,
    ):
        stream.until_done()
        return chat_verdict(stream.current_completion_snapshot)  # the final one is refused where it was cut


def chat_whole(answer: dict[str, Any]) -> Verdict:
    """Read a whole completion."""
    with _openai(_http(json.dumps(answer).encode(), (65_536,), stream=False)) as client:
        return chat_verdict(client.chat.completions.create(model="m", messages=ASKED))


def chat_verdict(completion: Any) -> Verdict:
    """Say what a completion says."""
    assert completion.object == "chat.completion"
    [choice] = completion.choices
    message, usage = choice.message, completion.usage
    return Verdict(
        text=message.content or "",
        refusal=message.refusal or "",
        thinking=getattr(message, "reasoning_content", None) or "",
        calls=[(call.id, call.function.name, _arguments(call.function.arguments)) for call in message.tool_calls or ()],
        reason=choice.finish_reason,
        usage=usage
        and (
            usage.prompt_tokens,
            usage.completion_tokens,
            (usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens) or 0,
            (usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens) or 0,
        ),
    )


def responses(wire: bytes, sizes: Sequence[int] = (65_536,)) -> Verdict:
    """Read a Responses stream as `client.responses.stream` does, where it comes to an end that is told by events."""
    with _openai(_http(wire, sizes)) as client, client.responses.stream(model="m", input="Hi") as stream:
        last = None
        for number, event in enumerate(stream):
            assert event.sequence_number == number
            last = event
        assert last is not None
        assert last.type in ("response.completed", "response.incomplete")
        return responses_verdict(last.response)


def responses_whole(answer: dict[str, Any]) -> Verdict:
    """Read a whole response."""
    with _openai(_http(json.dumps(answer).encode(), (65_536,), stream=False)) as client:
        return responses_verdict(client.responses.create(model="m", input="Hi"))


def responses_verdict(response: Any) -> Verdict:
    """Say what a response says."""
    parts = [part for item in response.output if item.type == "message" for part in item.content]
    summaries = [part for item in response.output if item.type == "reasoning" for part in item.summary]
    usage = response.usage
    return Verdict(
        text="".join(part.text for part in parts if part.type == "output_text"),
        refusal="".join(part.refusal for part in parts if part.type == "refusal"),
        thinking="".join(part.text for part in summaries),
        calls=[
            (item.call_id, item.name, _arguments(item.arguments))
            for item in response.output
            if item.type == "function_call"
        ],
        reason=response.status
        if response.incomplete_details is None
        else f"incomplete: {response.incomplete_details.reason}",
        usage=usage
        and (
            usage.input_tokens,
            usage.output_tokens,
            usage.input_tokens_details.cached_tokens,
            usage.output_tokens_details.reasoning_tokens,
        ),
    )


def messages(wire: bytes, sizes: Sequence[int] = (65_536,)) -> Verdict:
    """Read a Messages stream as `client.messages.stream` does."""
    with (
        anthropic.Anthropic(api_key="k", base_url=URL, http_client=_http(wire, sizes), max_retries=0) as client,
        client.messages.stream(model="m", max_tokens=9, messages=ASKED) as stream,
    ):
        return messages_verdict(stream.get_final_message())


def messages_whole(answer: dict[str, Any]) -> Verdict:
    """Read a whole message."""
    http = _http(json.dumps(answer).encode(), (65_536,), stream=False)
    with anthropic.Anthropic(api_key="k", base_url=URL, http_client=http, max_retries=0) as client:
        return messages_verdict(client.messages.create(model="m", max_tokens=9, messages=ASKED))


def messages_verdict(message: Any) -> Verdict:
    """Say what a message says."""
    usage = message.usage
    cached, created = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    details = usage.output_tokens_details
    return Verdict(
        text="".join(block.text for block in message.content if block.type == "text"),
        refusal="",
        thinking="".join(block.thinking for block in message.content if block.type == "thinking"),
        calls=[(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"],
        reason=message.stop_reason,
        usage=(
            usage.input_tokens + cached + created,
            usage.output_tokens,
            cached,
            details.thinking_tokens if details else 0,
        ),
    )


@dataclass(frozen=True)
class Judge:
    """One dialect's SDK: how it reads a stream and a whole answer, and what it raises on an error in the stream."""

    stream: Callable[..., Verdict]
    whole: Callable[[dict[str, Any]], Verdict]
    raises: type[Exception]


JUDGES = {
    "openai-chat": Judge(chat, chat_whole, openai.APIError),
    "openai-responses": Judge(responses, responses_whole, openai.APIError),
    "anthropic": Judge(messages, messages_whole, anthropic.APIStatusError),
}
"""The judges by the names of their dialects."""
