"""The key with which a caller repeats a request without asking twice."""

from __future__ import annotations

from tailrace.access.caller import Caller
from tailrace.web.problems import Problem

__all__ = ["key_of", "own_key"]

_LONGEST_KEY = 256


def key_of(given: str | None) -> str | None:
    """The key as it was given; None for none. Raises `Problem` 422 where nobody can mean it."""
    if given is not None and not 1 <= len(given) <= _LONGEST_KEY:
        raise Problem(422, "invalid_key", f"An idempotency key has 1 to {_LONGEST_KEY} characters.")
    return given


def own_key(key: str | None, caller: Caller) -> str | None:
    """A publisher's key as its channel remembers it: what others have called the same is another event.

    Whoever has not said who they are cannot make up a key that is a named caller's either.
    """
    if key is None or (caller.owner is None and "\n" not in key):
        return key
    return f"{caller.owner or ''}\n{key}"
