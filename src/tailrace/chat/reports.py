"""An error as a provider words it, in the shape of any of the APIs: in a body, or inside a stream.

What it says, and what the words that the APIs publish mean, as a table. What follows for the answer is
judged in `failures` and `retries`.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgspec

from tailrace.errors import ErrorType

__all__ = ["UNPAID", "WORDS", "Report", "of_body", "of_value", "type_of_status"]

_BY_STATUS: Final = {
    401: ErrorType.PROVIDER_AUTH,
    403: ErrorType.PROVIDER_AUTH,
    # No judgement on the request: it took too long to arrive, or met another. Both SDKs ask again.
    408: ErrorType.PROVIDER_FAILED,
    409: ErrorType.PROVIDER_FAILED,
    429: ErrorType.PROVIDER_RATE_LIMITED,
    503: ErrorType.PROVIDER_OVERLOADED,
    529: ErrorType.PROVIDER_OVERLOADED,
}

_BY_WORD: Final = {
    # Anthropic's `error.type` (anthropic 2.10, `types.shared.ErrorType`, and the errors page of its documentation).
    "invalid_request_error": ErrorType.PROVIDER_REJECTED,
    "authentication_error": ErrorType.PROVIDER_AUTH,
    "billing_error": ErrorType.PROVIDER_REJECTED,
    "permission_error": ErrorType.PROVIDER_AUTH,
    "not_found_error": ErrorType.PROVIDER_REJECTED,
    "request_too_large": ErrorType.PROVIDER_REJECTED,
    "rate_limit_error": ErrorType.PROVIDER_RATE_LIMITED,
    "conflict_error": ErrorType.PROVIDER_FAILED,
    "timeout_error": ErrorType.PROVIDER_FAILED,
    "api_error": ErrorType.PROVIDER_FAILED,
    "overloaded_error": ErrorType.PROVIDER_OVERLOADED,
    # OpenAI's `error.type` and `error.code` (openai 3.51, `types.responses.ResponseError`, and its guide to errors).
    "server_error": ErrorType.PROVIDER_FAILED,
    "vector_store_timeout": ErrorType.PROVIDER_FAILED,
    "rate_limit_exceeded": ErrorType.PROVIDER_RATE_LIMITED,
    "requests": ErrorType.PROVIDER_RATE_LIMITED,
    "tokens": ErrorType.PROVIDER_RATE_LIMITED,
    "insufficient_quota": ErrorType.PROVIDER_RATE_LIMITED,
    "billing_hard_limit_reached": ErrorType.PROVIDER_REJECTED,
    "billing_not_active": ErrorType.PROVIDER_REJECTED,
    "invalid_api_key": ErrorType.PROVIDER_AUTH,
    "account_deactivated": ErrorType.PROVIDER_AUTH,
    "model_not_found": ErrorType.PROVIDER_REJECTED,
    "context_length_exceeded": ErrorType.PROVIDER_REJECTED,
    "invalid_prompt": ErrorType.PROVIDER_REJECTED,
    "data_residency_mismatch": ErrorType.PROVIDER_REJECTED,
    "content_filter": ErrorType.PROVIDER_REJECTED,
    "content_policy_violation": ErrorType.PROVIDER_REJECTED,
    "bio_policy": ErrorType.PROVIDER_REJECTED,
    "misalignment_policy_violation": ErrorType.PROVIDER_REJECTED,
    **dict.fromkeys(
        (
            "invalid_image",
            "invalid_image_format",
            "invalid_base64_image",
            "invalid_image_url",
            "image_too_large",
            "image_too_small",
            "image_parse_error",
            "image_content_policy_violation",
            "invalid_image_mode",
            "image_file_too_large",
            "unsupported_image_media_type",
            "empty_image_file",
            "failed_to_download_image",
            "image_file_not_found",
        ),
        ErrorType.PROVIDER_REJECTED,
    ),
    # What servers that imitate them say.
    "server_overloaded": ErrorType.PROVIDER_OVERLOADED,
    "service_unavailable": ErrorType.PROVIDER_OVERLOADED,
}

WORDS: Final = frozenset(_BY_WORD)
"""The words that are known."""

UNPAID: Final = "insufficient_quota"
"""OpenAI's code of a 429 that no waiting ends: the account is empty."""

_WORD = re.compile(r"[A-Za-z][\w.-]{0,63}", re.ASCII)
_PATH = re.compile(r"[\w.\[\]/$-]{1,128}", re.ASCII)


class Report(NamedTuple):
    """What an error says of itself; empty or None where it says nothing.

    `kind` is what its API calls the `type`, `code` the more exact word that stands beside it, `param` the
    field of the request that it is about, `status` the HTTP status that stands in place of a code.
    """

    message: str = ""
    kind: str | None = None
    code: str | None = None
    param: str | None = None
    status: int | None = None

    @property
    def word(self) -> str | None:
        """What the error is called, as exactly as it is said."""
        return self.code or self.kind

    @property
    def type(self) -> ErrorType:
        """What it means, told by its most exact word that is known."""
        for word in (self.code, self.kind):
            if word in _BY_WORD:
                return _BY_WORD[word]
        return ErrorType.PROVIDER_FAILED if self.status is None else type_of_status(self.status)


def of_value(error: object) -> Report:
    """Read the `error` value of a frame or a body, whatever shape it has."""
    if not isinstance(error, dict):
        return Report("" if error is None else str(error))
    details = error.get("details")
    named = error.get("code") or (details.get("error_code") if isinstance(details, dict) else None)
    message = error.get("message")
    return Report(
        message if isinstance(message, str) else "",
        _matching(_WORD, error.get("type")),
        _matching(_WORD, named),
        _matching(_PATH, error.get("param")),
        _status_in(named) or _status_in(error.get("type")),
    )


def of_body(body: bytes) -> Report:
    """Read the body of a response that is an error. It may be cut, empty, or no JSON."""
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body.decode(errors="replace").strip()
        return Report("" if text.startswith("<") else text)  # a proxy's HTML page says nothing
    if not isinstance(value, dict):
        return Report(value if isinstance(value, str) else "")
    error = value.get("error")
    if isinstance(error, dict):
        return of_value(error)
    said = of_value(value)
    plain = next((word for word in (error, said.message, value.get("detail")) if word and isinstance(word, str)), "")
    return said._replace(message=plain, kind=None if said.kind == "error" else said.kind)


def type_of_status(status: int) -> ErrorType:
    """Return what an HTTP status that is not 200 means."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 400 <= status < 500:
        return ErrorType.PROVIDER_REJECTED
    return ErrorType.PROVIDER_FAILED if status >= 500 else ErrorType.PROVIDER_MALFORMED


def _matching(pattern: re.Pattern[str], value: object) -> str | None:
    """Return a word as it is; what is none could be anything, a key too."""
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def _status_in(word: object) -> int | None:
    """Read the HTTP status that gateways would have sent, which they put into `code`."""
    text = str(word)
    return int(text) if text.isascii() and text.isdecimal() and len(text) == 3 and 400 <= int(text) < 600 else None
