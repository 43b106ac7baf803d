"""Reading what a server says when it refuses: the problem document and `Retry-After`."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tailrace.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["refusal", "retry_after"]


def refusal(status: int, headers: Mapping[str, str], body: bytes, url: str) -> RequestRefused:
    """Return the error for an answer: the problem's own words where it sent some, else the status's name and `url`."""
    problem = _problem(body)
    code = problem.get("code")
    detail = problem.get("detail") or problem.get("title")
    return RequestRefused(
        status,
        code if isinstance(code, str) else f"http_{status}",
        detail if isinstance(detail, str) else f"{_phrase(status)} ({url})",
        retry_after(headers),
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `Retry-After` asks for, None without one that can be read.

    A date is taken relative to the answer's own `Date`: only the server's clock is asked.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        seconds = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):  # no date, or one with a zone and one without
        return None
    return max(0.0, seconds.total_seconds())


def _problem(body: bytes) -> dict[str, Any]:
    try:
        problem = json.loads(body)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.lower()
    except ValueError:
        return "no reason was given"
