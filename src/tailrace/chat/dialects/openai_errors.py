"""Errors as both of OpenAI's APIs word them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tailrace.chat.dialects.faults import openai_type, openai_words

if TYPE_CHECKING:
    from tailrace.errors import RunError

__all__ = ["failure", "problem"]


def problem(
    status: int,
    message: str,
    *,
    type: str | None = None,  # noqa: A002  # the wire's own word
    param: str | None = None,
    code: str | None = None,
) -> dict[str, Any]:
    """Return an error body."""
    return {"error": {"message": message, "type": type or openai_type(status), "param": param, "code": code}}


def failure(error: RunError) -> dict[str, Any]:
    """Return the body that tells why a run failed."""
    return {"error": {"message": error.message, **openai_words(error)._asdict()}}
