"""What a caller asked in some dialect, and whether another kind of provider can be asked the same.

A dialect's reader makes a `Request` of a body. Whatever in it not every kind can say is noted as a
`Tie` while it is read, so that `check` refuses before anybody is asked, naming the field in the
caller's own words. Nothing is dropped in silence but what has no effect on the answer; each
dialect's reader lists that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tailrace.errors import TailraceError

if TYPE_CHECKING:
    from tailrace.chat.ask import Ask

__all__ = ["BadRequest", "Request", "Tie", "check"]


class BadRequest(TailraceError, ValueError):
    """A body that is refused (status 400): `param` is the dotted path of the field, `code` a word for programs."""

    def __init__(self, message: str, param: str, code: str = "invalid_value") -> None:
        super().__init__(f"{param}: {message}" if param else message)
        self.param = param
        self.code = code


@dataclass(frozen=True, slots=True)
class Tie:
    """A field that only `kinds` of provider can be asked with, beside the one that the dialect is of."""

    path: str
    kinds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it came, and what it says.

    `kind` is the kind of provider whose own dialect this is: it gets `body` as it came, and `headers` with it
    (as `passing` lets them through). `model` is the name that was asked for. `ask` is what any other kind is
    asked, or None where nothing could be. `user` is who asks, as the caller names them (the same word for the
    same person). The rest concerns the answer alone: `stream`, `include_usage` (openai-chat: a chunk with the
    usage), `background` (openai-responses: it may be read later).
    """

    dialect: str
    kind: str
    model: str
    stream: bool
    body: dict[str, Any]
    ask: Ask | None
    ties: tuple[Tie, ...] = ()
    user: str | None = None
    include_usage: bool = False
    background: bool = False
    headers: tuple[tuple[str, str], ...] = ()


def check(request: Request, kind: str) -> Ask:
    """Return what a provider of `kind`, which is not the dialect's own, is to be asked.

    Raises:
        BadRequest: a field of the request cannot be said there.
    """
    for tie in request.ties:
        if kind not in tie.kinds:
            raise _unsayable(tie.path, kind)
    if request.ask is None:
        raise _unsayable("messages", kind)
    return request.ask


def _unsayable(path: str, kind: str) -> BadRequest:
    message = f"this cannot be said to the model's provider, which is of kind {kind!r}; leave it out"
    return BadRequest(message, path, "unsupported_parameter")
