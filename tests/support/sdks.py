"""The published SDKs as clients of a real server: one question each, in every way that they offer.

    with Sdks(server.url) as sdks:
        verdict = sdks.ask("anthropic", "claude", stream=True)

The async clients live as long as the event loop of one call.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

import anthropic
import openai

from tests.chat.dialects.judges import Verdict, chat_verdict, messages_verdict, responses_verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["DIALECTS", "ERRORS", "MODES", "Sdks"]

DIALECTS = ("openai-chat", "openai-responses", "anthropic")
MODES = ("stream", "whole", "async stream", "async whole")

ERRORS: dict[str, type[Exception]] = {
    "openai-chat": openai.APIError,
    "openai-responses": openai.APIError,
    "anthropic": anthropic.APIError,
}
"""What each SDK raises whenever an answer is not one."""

_HI: list[Any] = [{"role": "user", "content": "Hi"}]


class Sdks:
    """The SDKs' clients of the server at `url`; a context manager. They never ask again by themselves."""

    def __init__(self, url: str) -> None:
        self._options: dict[str, Any] = {"api_key": "k", "max_retries": 0, "timeout": 20}
        self._url = url
        self.openai = openai.OpenAI(base_url=f"{url}/v1", **self._options)
        self.anthropic = anthropic.Anthropic(base_url=url, **self._options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.openai.close()
        self.anthropic.close()

    def ask(self, dialect: str, model: str, mode: str = "stream", **more: Any) -> Verdict:
        """Ask, and say what the SDK made of the answer. Raises what the SDK raises."""
        if mode.startswith("async"):
            return asyncio.run(self._ask_async(dialect, model, mode, more))
        client: Any = self.anthropic if dialect == "anthropic" else self.openai
        return (_STREAMED if mode == "stream" else _WHOLE)[dialect](client, model, more)

    async def _ask_async(self, dialect: str, model: str, mode: str, more: dict[str, Any]) -> Verdict:
        client: Any
        if dialect == "anthropic":
            client = anthropic.AsyncAnthropic(base_url=self._url, **self._options)
        else:
            client = openai.AsyncOpenAI(base_url=f"{self._url}/v1", **self._options)
        async with client:
            return await (_STREAMED_ASYNC if mode == "async stream" else _WHOLE_ASYNC)[dialect](client, model, more)


def _chat_stream(client: Any, model: str, more: dict[str, Any]) -> Verdict:
    options = {"stream_options": {"include_usage": True}, **more}
    with client.chat.completions.stream(model=model, messages=_HI, **options) as stream:
        stream.until_done()
        return chat_verdict(stream.current_completion_snapshot)


async def _chat_stream_async(client: Any, model: str, more: dict[str, Any]) -> Verdict:
    options = {"stream_options": {"include_usage": True}, **more}
    async with client.chat.completions.stream(model=model, messages=_HI, **options) as stream:
        await stream.until_done()
        return chat_verdict(stream.current_completion_snapshot)


def _chat_whole(client: Any, model: str, more: dict[str, Any]) -> Verdict:
    return chat_verdict(client.chat.completions.create(model=model, messages=_HI, **more))


async def _chat_whole_async(client: Any, model: str, more: dict[str, Any]) -> Verdict:
    return chat_verdict(await client.chat.completions.create(model=model, messages=_HI, **more))


def _response_of(event: Any) -> Any:
    assert event is not None, "the stream had no events"
    assert event.type in ("response.completed", "response.incomplete"), event.type
    return event.response


def _responses_stream(client: Any, model: str, more: dict[str, Any]) -> Verdict:
    last = None
    with client.responses.stream(model=model, input="Hi", **more) as stream:
        for event in stream:
            last = event
    return responses_verdict(_response_of(last))


async def _responses_stream_async(client: Any, model: str, more: dict[str, Any]) -> Verdict:
    last = None
    async with client.responses.stream(model=model, input="Hi", **more) as stream:
        async for event in stream:
            last = event
    return responses_verdict(_response_of(last))


def _responses_whole(client: Any, model: str, more: dict[str, Any]) -> Verdict:
    return responses_verdict(client.responses.create(model=model, input="Hi", **more))


async def _responses_whole_async(client: Any, model: str, more: dict[str, Any]) -> Verdict:
    return responses_verdict(await client.responses.create(model=model, input="Hi", **more))


def _messages_stream(client: Any, model: str, more: dict[str, Any]) -> Verdict:
    with client.messages.stream(model=model, max_tokens=9, messages=_HI, **more) as stream:
        message = stream.get_final_message()
    assert message.stop_reason is not None, "cut, and taken for an answer"
    return messages_verdict(message)


async def _messages_stream_async(client: Any, model: str, more: dict[str, Any]) -> Verdict:
    async with client.messages.stream(model=model, max_tokens=9, messages=_HI, **more) as stream:
        message = await stream.get_final_message()
    assert message.stop_reason is not None, "cut, and taken for an answer"
    return messages_verdict(message)


def _messages_whole(client: Any, model: str, more: dict[str, Any]) -> Verdict:
    return messages_verdict(client.messages.create(model=model, max_tokens=9, messages=_HI, **more))


async def _messages_whole_async(client: Any, model: str, more: dict[str, Any]) -> Verdict:
    return messages_verdict(await client.messages.create(model=model, max_tokens=9, messages=_HI, **more))


_STREAMED: dict[str, Callable[[Any, str, dict[str, Any]], Verdict]] = {
    "openai-chat": _chat_stream,
    "openai-responses": _responses_stream,
    "anthropic": _messages_stream,
}
_WHOLE: dict[str, Callable[[Any, str, dict[str, Any]], Verdict]] = {
    "openai-chat": _chat_whole,
    "openai-responses": _responses_whole,
    "anthropic": _messages_whole,
}
_STREAMED_ASYNC: dict[str, Callable[[Any, str, dict[str, Any]], Awaitable[Verdict]]] = {
    "openai-chat": _chat_stream_async,
    "openai-responses": _responses_stream_async,
    "anthropic": _messages_stream_async,
}
_WHOLE_ASYNC: dict[str, Callable[[Any, str, dict[str, Any]], Awaitable[Verdict]]] = {
    "openai-chat": _chat_whole_async,
    "openai-responses": _responses_whole_async,
    "anthropic": _messages_whole_async,
}
