"""In whose words a path speaks: the dialects of `/v1`, each with errors in its own shape, and the AI SDK's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request

from tailrace.chat.dialects import DIALECTS, Dialect

__all__ = ["AI_SDK_CHAT", "PATHS", "is_anthropic", "is_plain", "spoken_at"]

AI_SDK_CHAT: Final = "/api/ai-sdk/chat"
"""Where `useChat` asks, with its default transport."""

PATHS: Mapping[str, Dialect] = {
    "/v1/chat/completions": DIALECTS["openai-chat"],
    "/v1/responses": DIALECTS["openai-responses"],
    "/v1/messages": DIALECTS["anthropic"],
}
"""Where each dialect's answers are asked for."""


def is_anthropic(request: Request) -> bool:
    """Whether it is Anthropic's API that the caller means, where a path is in both."""
    return "anthropic-version" in request.headers


def is_plain(request: Request) -> bool:
    """Whether a refusal is a plain sentence: the AI SDK shows the body of one to the user, whatever it is."""
    path: str = request.scope["path"]
    return path == AI_SDK_CHAT or path.startswith(f"{AI_SDK_CHAT}/")


def spoken_at(request: Request) -> Dialect | None:
    """The dialect that a request is to be answered in; None where that is ours."""
    path: str = request.scope["path"]  # not of the URL, which begins with a host that may be anything
    if not path.startswith("/v1/"):
        return None
    for base, dialect in PATHS.items():
        if path == base or path.startswith(f"{base}/"):
            return dialect
    return DIALECTS["anthropic" if is_anthropic(request) else "openai-chat"]
