"""The key with which a caller repeats a request without asking twice."""

from __future__ import annotations

from tailrace.web.problems import Problem

__all__ = ["key_of"]

_LONGEST_KEY = 256


def key_of(given: str | None) -> str | None:
    """The key as it was given; None for none. Raises `Problem` 422 where nobody can mean it."""
    if given is not None and not 1 <= len(given) <= _LONGEST_KEY:
        raise Problem(422, "invalid_key", f"An idempotency key has 1 to {_LONGEST_KEY} characters.")
    return given
