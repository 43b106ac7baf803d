"""What went wrong, in the words of each API: HTTP statuses and error types, as tables.

A run's failure has two lives: before the answer was opened it is an HTTP status and a body, after
that it is a frame in the stream. Both are written by the dialects with what this module knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tailrace.errors import ErrorType, ProviderError

if TYPE_CHECKING:
    from tailrace.errors import RunError

__all__ = [
    "Words",
    "anthropic_type",
    "anthropic_words",
    "openai_type",
    "openai_words",
    "responses_code",
    "status_of",
]

_STATUS: Final = {
    ErrorType.CALLER_CANCELLED: 499,  # nginx's word for it; 408, 409, 429 and 5xx would make an SDK ask again
    ErrorType.CALLER_GONE: 499,
    ErrorType.CALLER_UNKNOWN_RUN: 404,
    ErrorType.POLICY_RUN_TOO_LARGE: 422,
    ErrorType.POLICY_TOKEN_BUDGET: 429,
    ErrorType.PROVIDER_UNREACHABLE: 502,
    ErrorType.PROVIDER_CONNECT_TIMEOUT: 504,
    ErrorType.PROVIDER_FIRST_TOKEN_TIMEOUT: 504,
    ErrorType.PROVIDER_IDLE_TIMEOUT: 504,
    ErrorType.PROVIDER_TOTAL_TIMEOUT: 504,
    ErrorType.PROVIDER_AUTH: 502,  # our key was refused, not the caller's
    ErrorType.PROVIDER_RATE_LIMITED: 429,
    ErrorType.PROVIDER_OVERLOADED: 503,
    ErrorType.PROVIDER_REJECTED: 400,
    ErrorType.PROVIDER_FAILED: 502,
    ErrorType.PROVIDER_CUT: 502,
    ErrorType.PROVIDER_INCOMPLETE: 502,
    ErrorType.PROVIDER_MALFORMED: 502,
    ErrorType.TAILRACE_PRODUCER: 500,
    ErrorType.TAILRACE_INTERRUPTED: 503,
    ErrorType.TAILRACE_INTERNAL: 500,
}

_REJECTED: Final = {"billing_error": 402, "not_found_error": 404, "model_not_found": 404, "request_too_large": 413}
"""The statuses of refusals that came inside a stream, and so had none."""

_ANTHROPIC: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_ANTHROPIC_WORDS: Final = frozenset({*_ANTHROPIC.values(), "api_error", "conflict_error"})

_OPENAI: Final = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

_RESPONSES: Final = {
    ErrorType.PROVIDER_RATE_LIMITED: "rate_limit_exceeded",
    ErrorType.PROVIDER_REJECTED: "invalid_prompt",
}


class Words(NamedTuple):
    """What a failure is called in an API's own words; `code` None where it has no more exact one than its `type`."""

    type: str
    code: str | None = None
    param: str | None = None


def status_of(error: RunError) -> int:
    """Return the HTTP status of a failure that came before the answer was opened.

    What a provider refuses for the request's own sake keeps the provider's status: asking again is of no use.
    """
    if error.type == ErrorType.PROVIDER_REJECTED:
        status, word = getattr(error, "status", None), getattr(error, "code", None)
        return status if status is not None and 400 <= status < 500 else _REJECTED.get(word or "", 400)
    return _STATUS.get(error.type, 500)


def anthropic_words(error: RunError) -> Words:
    """Return what Anthropic's API calls a failure: as the provider did, where that speaks alike."""
    code, kind, _ = _own_words(error)
    known = kind if kind in _ANTHROPIC_WORDS else None
    return Words(known or anthropic_type(status_of(error)), code if code != kind else None)


def openai_words(error: RunError) -> Words:
    """Return what OpenAI's APIs call a failure: as the provider did, where that speaks alike; else by our own word."""
    code, kind, param = _own_words(error)
    known = kind if kind not in _ANTHROPIC_WORDS else None
    return Words(known or openai_type(status_of(error)), _openai_code(code) or error.type, param)


def responses_code(error: RunError) -> str:
    """Return the code that a failed response has: the provider's, else one of the few that the API knows."""
    return _openai_code(_own_words(error)[0]) or _RESPONSES.get(error.type, "server_error")


def anthropic_type(status: int) -> str:
    """Return Anthropic's word for a failure of `status`."""
    return _ANTHROPIC.get(status, "invalid_request_error" if status < 500 else "api_error")


def openai_type(status: int) -> str:
    """Return OpenAI's word for a failure of `status`."""
    return _OPENAI.get(status, "invalid_request_error" if status < 500 else "server_error")


def _openai_code(code: str | None) -> str | None:
    return code if code not in _ANTHROPIC_WORDS else None


def _own_words(error: RunError) -> tuple[str | None, str | None, str | None]:
    """Return a provider's code, type and param; none where it refused our key, which is not the caller's to mend."""
    if isinstance(error, ProviderError) and error.type != ErrorType.PROVIDER_AUTH:
        return error.code, error.kind, error.param
    return None, None, None
