"""What an upstream's failure means: refusals, errors inside a stream and broken sockets, as `ProviderError`.

Who notices one only hands over what it saw; what a provider's own words mean is in `reports`.
Messages are written for the caller who will read them in a stream: no addresses of ours, and no keys once
`presentable` has gone over what the provider said.
"""

from __future__ import annotations

import email.utils
import errno
import os
import re
import socket
import ssl
import time
from typing import TYPE_CHECKING

from tailrace.chat import reports
from tailrace.errors import ErrorType, ProviderError

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = [
    "broken",
    "closed_here",
    "malformed",
    "no_stream",
    "not_accepted",
    "presentable",
    "refused",
    "reported",
    "undecodable",
    "unreachable",
    "without",
]

_MAX_MESSAGE = 500
_MAX_SCANNED = 10_000  # characters that are looked through for what looks like a key

# A key that is not ours word for word (masked or truncated by the provider) still looks like one.
_KEY_LIKE = re.compile(r"\b(?:sk|rk|gsk|xai|pplx|AIza)[-_]?[A-Za-z0-9]*[-_*][\w*.-]{6,}")


def refused(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """Judge a response whose status is not 200. `body` may be cut or empty."""
    said = reports.of_body(body)
    detail = f": {said.message}" if said.message else ""
    if 300 <= status < 400:
        # Followed, the key would go to whoever the provider names.
        text = f"the provider redirects (HTTP {status}), which is not followed; correct its base_url"
        return ProviderError(ErrorType.PROVIDER_REJECTED, text, status=status)
    return ProviderError(
        reports.type_of_status(status),
        f"the provider answered HTTP {status}{detail}",
        status=status,
        retryable=False if reports.UNPAID.encode() in body else _may_be_repeated(headers),
        retry_after=_retry_after(headers),
        code=said.word,
        kind=said.kind,
        param=said.param,
    )


def reported(error: object) -> ProviderError:
    """Judge an error that the provider reported inside the stream: its `error` value, whatever shape it has."""
    said = reports.of_value(error)
    text = said.message or said.kind or said.code or "an error without a message"
    return ProviderError(
        said.type,
        f"the provider reported: {text}",
        retryable=False if reports.UNPAID in (said.code, said.kind) else None,
        code=said.word,
        kind=said.kind,
        param=said.param,
    )


def malformed(what: str) -> ProviderError:
    """Report an answer, or a frame of it, that is not what this kind of provider sends."""
    return ProviderError(ErrorType.PROVIDER_MALFORMED, f"the provider sent {what}")


def no_stream(content_type: str, body: bytes) -> ProviderError:
    """Judge a response of status 200 that is no event stream; some report an error so. `body` may be cut or empty."""
    said = reports.of_body(body).message if content_type == "application/json" else ""
    return malformed(f"{content_type} where an event stream was expected{f': {said}' if said else ''}")


def unreachable(error: BaseException) -> ProviderError:
    """Judge what broke before the response's head was here."""
    return ProviderError(ErrorType.PROVIDER_UNREACHABLE, f"the provider cannot be reached: {_reason(error)}")


def not_accepted() -> ProviderError:
    """Report that no connection came to be within its time."""
    return ProviderError(ErrorType.PROVIDER_CONNECT_TIMEOUT, "the provider accepted no connection in time")


def undecodable() -> ProviderError:
    """Report a body that is not packed as it says, or in a way that was not asked for."""
    return malformed("a body that its Content-Encoding cannot decode")


def broken() -> ProviderError:
    """Report what broke while the body was read."""
    return ProviderError(ErrorType.PROVIDER_CUT, "the connection to the provider broke in the middle of the answer")


def closed_here() -> ProviderError:
    """Report a connection that this side closed: nobody else's fault, and no other target's business."""
    text = "the connection to the provider was closed from this side"
    return ProviderError(ErrorType.TAILRACE_INTERRUPTED, text)


def without(error: ProviderError, secret: str) -> ProviderError:
    """Return an error as it can be shown: itself, or one like it whose words are `presentable` and name no `secret`."""
    clean = presentable(error.message, secret)
    words = [word if word and not (secret and secret in word) else None for word in _words_of(error)]
    if (clean, *words) == (error.message, *_words_of(error)):
        return error
    code, kind, param = words
    return ProviderError(
        error.type,
        clean,
        retryable=error.retryable,
        status=error.status,
        retry_after=error.retry_after,
        code=code,
        kind=kind,
        param=param,
    )


def _words_of(error: ProviderError) -> tuple[str | None, str | None, str | None]:
    return error.code, error.kind, error.param


def presentable(text: str, secret: str) -> str:
    """Take `secret`, and whatever else looks like a key, out of a provider's words, and cut them to a bearable length.

    In this order: a cut through the secret would leave a part of it that nothing recognises.
    """
    if secret:
        text = text.replace(secret, "[key]")
    text = _KEY_LIKE.sub("[key]", text[:_MAX_SCANNED])
    return text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + "…"


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
            except (ValueError, OverflowError):
                return None
    return None


def _reason(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return "its name does not resolve"
    if isinstance(error, ssl.SSLError):
        return "TLS failed"
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number in errno.errorcode:
        return os.strerror(number).lower()
    return "it closed the connection before it answered"
