"""What every dialect gives: the interfaces that the tables in `tailrace.chat.dialects` hold together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tailrace.chat.dialects.request import Request
    from tailrace.errors import RunError
    from tailrace.runs.deltas import Delta
    from tailrace.sse import Event

__all__ = ["Accumulator", "Dialect", "Head", "Problem", "Relay", "Spoken", "Writer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What an answer says of itself, known before its first delta and the same wherever it is written.

    `run` makes its ids, `model` is the model's name as the client is told, `created` is in seconds since
    the epoch. `include_usage` is the client's wish for a chunk with the usage (openai-chat), `echo` the
    request's fields that the answer repeats (openai-responses), or what it continues (ai-sdk).
    """

    run: str
    model: str
    created: int
    include_usage: bool = False
    echo: Mapping[str, Any] = field(default_factory=dict)


class Writer(Protocol):
    """Writes one client's stream out of deltas: complete blocks, or nothing.

    The same deltas give the same bytes, however they are batched. What comes after the end is not written.
    """

    @property
    def keep_alive(self) -> bytes:
        """What may be sent at any time between two writes, to show that somebody is there."""

    def open(self) -> bytes:
        """Begin the answer before anything of it is here; the first `write` does so by itself."""

    def write(self, deltas: Iterable[Delta]) -> bytes:
        """Return the blocks of `deltas`; a `Finish` brings all that ends the stream."""

    def fail(self, error: RunError) -> bytes:
        """Return the dialect's explicit error, which ends the stream; the official SDK raises on it."""


class Relay(Protocol):
    """Hands on an upstream's own stream, in whose dialect the client speaks."""

    @property
    def keep_alive(self) -> bytes:
        """What may be sent at any time between two events."""

    def write(self, event: Event) -> bytes:
        """Return the event's block as it came, or nothing where the client is not to see it."""

    def fail(self, error: RunError) -> bytes:
        """Return the dialect's explicit error, which ends the stream."""


class Accumulator(Protocol):
    """Puts an upstream's own frames together to the answer that it would have given without a stream."""

    def add(self, event: Event) -> None:
        """Take the next event; those that a client is not to see may be given as well."""

    def whole(self) -> dict[str, Any]:
        """Return the answer's JSON, fields that are unknown here included."""


class Problem(Protocol):
    """Writes an error body in the dialect's own shape."""

    def __call__(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,  # noqa: A002  # the wire's own word
        param: str | None = None,
        code: str | None = None,
    ) -> dict[str, Any]:
        """Return the body; `type` left out is the API's usual word for `status`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A wire format that clients speak, always as a stream; `kind` is its own name where no provider speaks it too."""

    name: str
    kind: str
    read: Callable[[object], Request]
    head: Callable[[Request, str, int], Head]
    writer: Callable[[Head], Writer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect(Spoken):
    """One that providers speak as well: `kind` is theirs, and what they say is handed on as it comes.

    `problem` words what is wrong with a request, `failure` why a run failed: with the provider's own code where it
    gave one.
    """

    whole: Callable[[Head, Iterable[Delta]], dict[str, Any]]
    relay: Callable[[Head], Relay]
    accumulator: Callable[[], Accumulator]
    problem: Problem
    failure: Callable[[RunError], dict[str, Any]]
