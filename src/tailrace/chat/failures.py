"""What an upstream's failure means: HTTP statuses, words inside a stream and broken sockets, as `ProviderError`.

All judgement about failures is in this module, as tables; who notices one only hands over what it saw.
Messages are written for the caller who will read them in a stream: no addresses of ours, and no keys once
`presentable` has gone over what the provider said.
"""

from __future__ import annotations

import email.utils
import errno
import os
import re
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
from aiohttp.http_exceptions import ContentEncodingError

from tailrace.errors import ErrorType, ProviderError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["broken", "closed_here", "malformed", "no_stream", "presentable", "refused", "reported", "unreachable"]

_MAX_MESSAGE = 500
_MAX_SCANNED = 10_000  # characters that are looked through for what looks like a key

_BY_STATUS = {
    401: ErrorType.PROVIDER_AUTH,
    403: ErrorType.PROVIDER_AUTH,
    # No judgement on the request: it took too long to arrive, or met another. Both SDKs ask again.
    408: ErrorType.PROVIDER_FAILED,
    409: ErrorType.PROVIDER_FAILED,
    429: ErrorType.PROVIDER_RATE_LIMITED,
    503: ErrorType.PROVIDER_OVERLOADED,
    529: ErrorType.PROVIDER_OVERLOADED,
}

# What Anthropic and OpenAI (and those that imitate them) write into `error.type` or `error.code`.
_BY_WORD = {
    "authentication_error": ErrorType.PROVIDER_AUTH,
    "permission_error": ErrorType.PROVIDER_AUTH,
    "invalid_api_key": ErrorType.PROVIDER_AUTH,
    "rate_limit_error": ErrorType.PROVIDER_RATE_LIMITED,
    "rate_limit_exceeded": ErrorType.PROVIDER_RATE_LIMITED,
    "insufficient_quota": ErrorType.PROVIDER_RATE_LIMITED,
    "overloaded_error": ErrorType.PROVIDER_OVERLOADED,
    "server_overloaded": ErrorType.PROVIDER_OVERLOADED,
    "service_unavailable": ErrorType.PROVIDER_OVERLOADED,
    "billing_error": ErrorType.PROVIDER_REJECTED,
    "invalid_request_error": ErrorType.PROVIDER_REJECTED,
    "not_found_error": ErrorType.PROVIDER_REJECTED,
    "request_too_large": ErrorType.PROVIDER_REJECTED,
    "context_length_exceeded": ErrorType.PROVIDER_REJECTED,
}

_UNPAID = b"insufficient_quota"
"""OpenAI's code of a 429 that no waiting ends: the account is empty."""

# A key that is not ours word for word (masked or truncated by the provider) still looks like one.
_KEY_LIKE = re.compile(r"\b(?:sk|rk|gsk|xai|pplx|AIza)[-_]?[A-Za-z0-9]*[-_*][\w*.-]{6,}")


def refused(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """Judge a response whose status is not 200. `body` may be cut or empty."""
    said = _message_of(body)
    detail = f": {said}" if said else ""
    if 300 <= status < 400:
        # Followed, the key would go to whoever the provider names.
        text = f"the provider redirects (HTTP {status}), which is not followed; correct its base_url"
        return ProviderError(ErrorType.PROVIDER_REJECTED, text, status=status)
    return ProviderError(
        _type_of_status(status),
        f"the provider answered HTTP {status}{detail}",
        status=status,
        retryable=False if _UNPAID in body else _may_be_repeated(headers),
        retry_after=_retry_after(headers),
    )


def reported(error: object) -> ProviderError:
    """Judge an error that the provider reported inside the stream: its `error` value, whatever shape it has."""
    if not isinstance(error, dict):
        return ProviderError(ErrorType.PROVIDER_FAILED, f"the provider reported: {error}")
    kind = _type_of_words(error.get("type"), error.get("code"))
    said = error.get("message") or error.get("type") or error.get("code") or "an error without a message"
    return ProviderError(kind, f"the provider reported: {said}")


def malformed(what: str) -> ProviderError:
    """Report an answer, or a frame of it, that is not what this kind of provider sends."""
    return ProviderError(ErrorType.PROVIDER_MALFORMED, f"the provider sent {what}")


def no_stream(content_type: str, body: bytes) -> ProviderError:
    """Judge a response of status 200 that is no event stream; some report an error so. `body` may be cut or empty."""
    said = _message_of(body) if content_type == "application/json" else ""
    return malformed(f"{content_type} where an event stream was expected{f': {said}' if said else ''}")


def unreachable(error: BaseException) -> ProviderError:
    """Judge what broke before the response's head was here."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return ProviderError(ErrorType.PROVIDER_CONNECT_TIMEOUT, "the provider accepted no connection in time")
    if isinstance(error, aiohttp.ClientResponseError):
        return malformed("something that is not HTTP")
    return ProviderError(ErrorType.PROVIDER_UNREACHABLE, f"the provider cannot be reached: {_reason(error)}")


def broken(error: BaseException) -> ProviderError:
    """Judge what broke while the body was read."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ContentEncodingError):
            return malformed("a body that its Content-Encoding cannot decode")
        cause = cause.__cause__
    return ProviderError(ErrorType.PROVIDER_CUT, "the connection to the provider broke in the middle of the answer")


def closed_here() -> ProviderError:
    """Report a connection that this side closed: nobody else's fault, and no other target's business."""
    text = "the connection to the provider was closed from this side"
    return ProviderError(ErrorType.TAILRACE_INTERRUPTED, text)


def presentable(text: str, secret: str) -> str:
    """Take `secret`, and whatever else looks like a key, out of a provider's words, and cut them to a bearable length.

    In this order: a cut through the secret would leave a part of it that nothing recognises.
    """
    if secret:
        text = text.replace(secret, "[key]")
    text = _KEY_LIKE.sub("[key]", text[:_MAX_SCANNED])
    return text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + "…"


def _type_of_status(status: int) -> ErrorType:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 400 <= status < 500:
        return ErrorType.PROVIDER_REJECTED
    return ErrorType.PROVIDER_FAILED if status >= 500 else ErrorType.PROVIDER_MALFORMED


def _type_of_words(*words: object) -> ErrorType:
    for word in words:
        if isinstance(word, str) and word in _BY_WORD:
            return _BY_WORD[word]
        # Gateways put the HTTP status that they would have sent into `code`.
        if str(word).isdecimal() and 400 <= int(str(word)) < 600:
            return _type_of_status(int(str(word)))
    return ErrorType.PROVIDER_FAILED


def _message_of(body: bytes) -> str:
    """Find the provider's own sentence in an error body; empty where there is none to show."""
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body.decode(errors="replace").strip()
        return "" if text.startswith("<") else text  # a proxy's HTML page says nothing
    for key in ("error", "message", "detail"):
        if isinstance(value, dict) and value.get(key):
            value = value[key]
    return value if isinstance(value, str) else ""


def _may_be_repeated(headers: Mapping[str, str]) -> bool | None:
    """Read `x-should-retry`, which both SDKs honour; None where the provider leaves it to the status."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read `retry-after-ms`, which both SDKs honour, else `Retry-After` in seconds or as a date; in seconds."""
    for name, scale in (("retry-after-ms", 1e-3), ("Retry-After", 1.0)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", value):
            return float(value) * scale
        if value and scale == 1.0:
            try:
                return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
            except ValueError:
                return None
    return None


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name does not resolve"
    if isinstance(error, aiohttp.ClientSSLError):
        return "TLS failed"
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number in errno.errorcode:
        return os.strerror(number).lower()
    return "it closed the connection before it answered"
