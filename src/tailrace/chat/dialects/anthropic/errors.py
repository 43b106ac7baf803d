"""Errors as Anthropic's API words them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tailrace.chat.dialects.faults import anthropic_type, anthropic_words

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
    """Return an error body; the API has no fields for `param` and `code`, its messages name what they are about."""
    return _body(type or anthropic_type(status), message)


def failure(error: RunError) -> dict[str, Any]:
    """Return the body that tells why a run failed; a word more exact than its type is one of its details."""
    words = anthropic_words(error)
    details = {} if words.code is None else {"details": {"error_code": words.code}}
    return _body(words.type, error.message, **details)


def _body(kind: str, message: str, **more: object) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message, **more}}
