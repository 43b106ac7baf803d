"""From what was raised to what the caller reads: problems (RFC 9457), or a dialect's own errors below `/v1`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import cast

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tailrace.asgi import Answer, detail_of, problem, wait_of
from tailrace.chat.dialects import BadRequest, Dialect, status_of
from tailrace.errors import (
    InvalidEvent,
    InvalidName,
    KeyReused,
    Overloaded,
    RunError,
    RunNotFound,
    StoreUnavailable,
    UnknownModel,
)
from tailrace.facade import Answered
from tailrace.web.lingering import Lingering
from tailrace.web.routes import allowed
from tailrace.web.shapes import is_plain, spoken_at

__all__ = ["HANDLERS", "Failed", "Problem", "Told", "answer", "told_of"]


class Problem(Exception):  # an answer on its way out, named as RFC 9457 does
    """A request that is refused: its HTTP status, a code for programs and a sentence for people."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers


class Failed(Exception):
    """A run that failed before anything of it was sent. `kept`: the same request again is answered by the same run."""

    def __init__(self, run: str, error: RunError, *, kept: bool) -> None:
        super().__init__(error.message)
        self.run = run
        self.error = error
        self.kept = kept


@dataclass(frozen=True, slots=True)
class Told:
    """What the caller is told, in whatever form.

    `param` is the field of the request that it is about, `error` why a run failed.
    """

    status: int
    code: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    param: str | None = None
    error: RunError | None = None


_CODES = {404: "not_found", 405: "method_not_allowed", 406: "not_acceptable"}


async def answer(request: Request, error: Exception) -> Response:
    """The answer to what was raised, in the words of the API that was asked."""
    told = told_of(error)
    headers = {"allow": allowed(request)} if told.status == 405 else told.headers
    dialect = spoken_at(request)
    if is_plain(request):
        said: Answered = Answer(told.status, told.detail.encode(errors="replace"), {**_PLAIN, **headers})
    elif dialect is None:
        said = problem(told.status, told.code, told.detail, headers=headers)
    else:
        said = _spoken(dialect, told, headers)
    if told.status == 413 and headers.get("connection") == "close":
        said = Lingering(said)
    # An ASGI application answers as well as a Response does; Starlette only calls it.
    return cast("Response", said)


_PLAIN = {"content-type": "text/plain; charset=utf-8"}


def _spoken(dialect: Dialect, told: Told, headers: Mapping[str, str]) -> Answer:
    if told.error is not None:
        said = dialect.failure(told.error)
    else:
        said = dialect.problem(told.status, told.detail, param=told.param, code=_IN_DIALECT.get(told.code, told.code))
    return Answer(told.status, msgspec.json.encode(said), {"content-type": "application/json", **headers})


_IN_DIALECT = {"unknown_model": "model_not_found"}
"""The words that programs written for OpenAI's API look for."""


def told_of(error: Exception) -> Told:
    """What the caller is told of what was raised: 500 for what is nobody's fault but ours."""
    match error:
        case Problem():
            return Told(error.status, error.code, error.detail, error.headers or {})
        case Failed():
            return _failed(error.error, {"tailrace-run": error.run}, kept=error.kept)
        case RunError():
            return _failed(error, {}, kept=False)
        case BadRequest():
            return Told(400, error.code, str(error), param=error.param or None)
        case HTTPException():
            code = _CODES.get(error.status_code, "refused")
            return Told(error.status_code, code, f"{error.detail.rstrip('.')}.")
        case RunNotFound():
            return Told(404, "not_found", "There is no such run.")
        case UnknownModel():
            return Told(404, "unknown_model", str(error), param="model")
        case StoreUnavailable() | Overloaded():
            code = "overloaded" if isinstance(error, Overloaded) else "store_unavailable"
            return Told(503, code, detail_of(error), {"retry-after": str(wait_of(error))})
        case _ if type(error) in _BY_TYPE:
            return Told(*_BY_TYPE[type(error)], str(error))
    return Told(500, "internal", "The server failed to answer; its log says why.")


_BY_TYPE: Mapping[type[Exception], tuple[int, str]] = {
    InvalidName: (422, "invalid_name"),
    InvalidEvent: (422, "invalid_event"),
    KeyReused: (422, "key_reused"),
    ClientDisconnect: (499, "client_left"),  # nobody reads that
}


def _failed(error: RunError, headers: dict[str, str], *, kept: bool) -> Told:
    status = status_of(error)
    wait = getattr(error, "retry_after", None)
    if wait is None and status == 503:
        wait = 1.0
    if wait is not None and status in _WAITED_FOR:
        # The SDKs read milliseconds first; the other one is for everybody else, and never too early.
        headers |= {"retry-after": str(ceil(wait)), "retry-after-ms": str(ceil(wait * 1000))}
    if kept or not error.retryable:
        headers["x-should-retry"] = "false"  # else the SDKs ask again for whatever is 409, 429 or a 5xx
    return Told(status, error.type, error.message, headers, error=error)


_WAITED_FOR = frozenset({429, 503})

HANDLED: tuple[type[Exception], ...] = (
    Problem,
    Failed,
    RunError,
    BadRequest,
    HTTPException,
    RunNotFound,
    UnknownModel,
    StoreUnavailable,
    Overloaded,
    *_BY_TYPE,
    Exception,
)
HANDLERS = dict.fromkeys(HANDLED, answer)
