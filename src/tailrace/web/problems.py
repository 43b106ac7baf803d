"""From what was raised to what the caller reads: problems (RFC 9457), each with its `code`."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tailrace.asgi import problem
from tailrace.errors import InvalidEvent, InvalidName, KeyReused, RunNotFound, StoreUnavailable, UnknownModel
from tailrace.facade import Answered
from tailrace.web.lingering import Lingering
from tailrace.web.routes import allowed

__all__ = ["HANDLERS", "Problem"]


class Problem(Exception):  # an answer on its way out, named as RFC 9457 does
    """A request that is refused: its HTTP status, a code for programs and a sentence for people."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers


_CODES = {404: "not_found", 405: "method_not_allowed", 406: "not_acceptable"}


async def _answer(request: Request, error: Exception) -> Response:
    status, code, detail, headers = _told(error)
    if status == 405:
        headers = {"allow": allowed(request)}
    answer: Answered = problem(status, code, detail, headers=headers)
    if status == 413:
        answer = Lingering(answer)
    # An ASGI application answers as well as a Response does; Starlette only calls it.
    return cast("Response", answer)


def _told(error: Exception) -> tuple[int, str, str, Mapping[str, str] | None]:
    match error:
        case Problem():
            return error.status, error.code, error.detail, error.headers
        case HTTPException():
            code = _CODES.get(error.status_code, "refused")
            return error.status_code, code, f"{error.detail.rstrip('.')}.", error.headers
        case RunNotFound():
            return 404, "not_found", "There is no such run.", None
        case UnknownModel():
            return 404, "unknown_model", str(error), None
        case InvalidName():
            return 422, "invalid_name", str(error), None
        case InvalidEvent():
            return 422, "invalid_event", str(error), None
        case KeyReused():
            return 422, "key_reused", str(error), None
        case StoreUnavailable():
            return 503, "store_unavailable", str(error), {"retry-after": str(ceil(error.retry_after))}
        case _:
            return 500, "internal", "The server failed to answer; its log says why.", None


HANDLED: tuple[type[Exception], ...] = (
    Problem,
    HTTPException,
    RunNotFound,
    UnknownModel,
    InvalidName,
    InvalidEvent,
    KeyReused,
    StoreUnavailable,
    Exception,
)
HANDLERS = dict.fromkeys(HANDLED, _answer)
