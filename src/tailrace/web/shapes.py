"""In whose words a path speaks: the dialects of `/v1`, each with errors in its own shape."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request

from tailrace.chat.dialects import DIALECTS, Dialect

__all__ = ["PATHS", "is_anthropic", "spoken_at"]

PATHS: Mapping[str, Dialect] = {
    "/v1/chat/completions": DIALECTS["openai-chat"],
    "/v1/responses": DIALECTS["openai-responses"],
    "/v1/messages": DIALECTS["anthropic"],
}
"""Where each dialect's answers are asked for."""


def is_anthropic(request: Request) -> bool:
    """Whether it is Anthropic's API that the caller means, where a path is in both."""
    return "anthropic-version" in request.headers


def spoken_at(request: Request) -> Dialect | None:
    """The dialect that a request is to be answered in; None where that is ours."""
    path = request.url.path
    if not path.startswith("/v1/"):
        return None
    for base, dialect in PATHS.items():
        if path == base or path.startswith(f"{base}/"):
            return dialect
    return DIALECTS["anthropic" if is_anthropic(request) else "openai-chat"]
