"""The operations that speak other APIs' words. Their bodies are those APIs' own, and open here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tailrace.web.openapi.parts import Operation, Part, at_path, header, in_query, json, json_body, nothing, ref, stream
from tailrace.web.openapi.schemas import KEY

__all__ = ["FOREIGN"]

_FAILING: Final = (404, 422, 499, 502, 504)
_KEY: Final = header("Idempotency-Key", KEY, "The same key again gets the answer that it has started.")
_SAID: Final = [{"role": "user", "content": "Say hello"}]
_ID: Final = at_path("id", {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}, "The response's id.")
_ANTHROPIC: Final = header(
    "Anthropic-Version", {"type": "string"}, "Says that the answer is wanted in Anthropic's shape."
)


def _asking(path: str, name: str, api: str, example: Part) -> Operation:
    return Operation(
        path=path,
        method="post",
        name=name,
        tag=api,
        summary=f"Ask in the words of {api}; the answer is a stream where `stream` is true",
        parameters=(_KEY,),
        body=json_body(ref("Foreign"), example=example),
        answers={200: stream("The answer.", "Tailrace-Run", beside=ref("Foreign"))},
        refusals=_FAILING,
        manner="Refusal",
    )


_AI_SDK: Final = "Vercel AI SDK"
_CHAT: Final = at_path("chat", {"type": "string", "minLength": 1}, "The chat's id, which may have slashes.")

FOREIGN: Final[Sequence[Operation]] = (
    _asking(
        "/v1/chat/completions",
        "chatCompletions",
        "OpenAI",
        {"model": "demo", "max_tokens": 8, "messages": _SAID},
    ),
    _asking("/v1/responses", "responses", "OpenAI", {"model": "demo", "max_output_tokens": 16, "input": "Say hello"}),
    _asking("/v1/messages", "messages", "Anthropic", {"model": "demo", "max_tokens": 8, "messages": _SAID}),
    Operation(
        path="/v1/responses/{id}",
        method="get",
        name="response",
        tag="OpenAI",
        summary="A response as it is now, or its events",
        parameters=(
            _ID,
            in_query("stream", {"enum": ["true", "false"]}, "`true`: its events."),
            in_query(
                "starting_after",
                {"type": "integer", "minimum": 0, "maximum": 999_999_999},
                "Only events behind the one with this sequence_number.",
            ),
        ),
        answers={200: stream("The response.", "Tailrace-Run", beside=ref("Foreign"))},
        refusals=(404,),
        manner="Refusal",
    ),
    Operation(
        path="/v1/responses/{id}/cancel",
        method="post",
        name="cancelResponse",
        tag="OpenAI",
        summary="Cancel a response",
        parameters=(_ID,),
        answers={200: json(ref("Foreign"), "The response.", "Tailrace-Run")},
        refusals=(404,),
        manner="Refusal",
    ),
    Operation(
        path="/v1/models",
        method="get",
        name="models",
        tag="OpenAI",
        summary="The models that may be asked for",
        parameters=(_ANTHROPIC,),
        answers={200: json(ref("Models"), "All of them, on one page.")},
        manner="Refusal",
    ),
    Operation(
        path="/v1/models/{model}",
        method="get",
        name="model",
        tag="OpenAI",
        summary="One of them; its name may have a slash",
        parameters=(_ANTHROPIC, at_path("model", {"type": "string", "minLength": 1}, "The model's name.")),
        answers={200: json(ref("Model"), "The model.")},
        refusals=(404,),
        manner="Refusal",
    ),
    Operation(
        path="/api/ai-sdk/chat",
        method="post",
        name="aiSdkChat",
        tag=_AI_SDK,
        summary="Ask as `useChat` does; the answer is a UI message stream",
        body=json_body(
            ref("Foreign"),
            example={"id": "c1", "messages": [{"role": "user", "parts": [{"type": "text", "text": "Say hello"}]}]},
        ),
        answers={200: stream("The answer.", "Tailrace-Run")},
        refusals=_FAILING,
        manner="Sentence",
    ),
    Operation(
        path="/api/ai-sdk/chat/{chat}/stream",
        method="get",
        name="aiSdkResume",
        tag=_AI_SDK,
        summary="Go on with the answer that a chat is in the middle of",
        parameters=(_CHAT, in_query("ended", {"enum": ["true", "false"]}, "`true`: one that has ended, too.")),
        answers={
            200: stream("The answer, from its beginning.", "Tailrace-Run"),
            204: nothing("There is none now."),
        },
        refusals=(404,),
        manner="Sentence",
    ),
    Operation(
        path="/api/ai-sdk/chat/{chat}/stop",
        method="post",
        name="aiSdkStop",
        tag=_AI_SDK,
        summary="Cancel the answer that a chat is in the middle of",
        parameters=(_CHAT,),
        answers={200: json(ref("Cancelled"), "How it ended: cancelled, or before."), 204: nothing("There is none.")},
        refusals=(404,),
        manner="Sentence",
    ),
)
