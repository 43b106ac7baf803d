"""What went wrong, in the words of each API: HTTP statuses and error types, as tables.

A run's failure has two lives: before the answer was opened it is an HTTP status and a body, after
that it is a frame in the stream. Both are written by the dialects with what this module knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tailrace.errors import ErrorType

if TYPE_CHECKING:
    from tailrace.errors import RunError

__all__ = ["anthropic_type", "openai_type", "responses_code", "status_of"]

_STATUS: Final = {
    ErrorType.CALLER_CANCELLED: 499,  # nginx's word for it; 408, 409, 429 and 5xx would make an SDK ask again
    ErrorType.CALLER_GONE: 499,
    ErrorType.CALLER_UNKNOWN_RUN: 404,
    ErrorType.POLICY_RUN_TOO_LARGE: 422,
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

_ANTHROPIC: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}

_OPENAI: Final = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

_RESPONSES: Final = {
    ErrorType.PROVIDER_RATE_LIMITED: "rate_limit_exceeded",
    ErrorType.PROVIDER_REJECTED: "invalid_prompt",
}


def status_of(error: RunError) -> int:
    """Return the HTTP status of a failure that came before the answer was opened.

    What a provider refuses for the request's own sake keeps the provider's status: asking again is of no use.
    """
    if error.type == ErrorType.PROVIDER_REJECTED:
        status = getattr(error, "status", None)
        return status if status is not None and 400 <= status < 500 else 400
    return _STATUS.get(error.type, 500)


def anthropic_type(status: int) -> str:
    """Return Anthropic's word for a failure of `status`."""
    return _ANTHROPIC.get(status, "invalid_request_error" if status < 500 else "api_error")


def openai_type(status: int) -> str:
    """Return OpenAI's word for a failure of `status`."""
    return _OPENAI.get(status, "invalid_request_error" if status < 500 else "server_error")


def responses_code(error: RunError) -> str:
    """Return the code that a failed response has; the API knows few."""
    return _RESPONSES.get(error.type, "server_error")
