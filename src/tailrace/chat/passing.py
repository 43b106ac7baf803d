"""The request headers of a caller that go on to a provider, and no others.

Those of the caller's own API, to a provider that speaks it: which version and which beta features the words of the
body mean. And to any provider the trace that the request is a part of (W3C Trace Context). Credentials, cookies and
whatever concerns one connection are the two ends' own business, as is all that is not named here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from tailrace.chat.dialects.kinds import ANTHROPIC, CHAT, RESPONSES
from tailrace.chat.dialects.request import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Passed", "Raw", "of_dialect", "of_trace"]

Passed: TypeAlias = tuple[tuple[str, str], ...]
"""Names in lower case, each once, with their values."""

Raw: TypeAlias = "Iterable[tuple[bytes, bytes]]"
"""Passed as ASGI has them: names in lower case."""

_OF_KIND: Final = {
    ANTHROPIC: (b"anthropic-version", b"anthropic-beta"),
    CHAT: (b"openai-beta",),
    RESPONSES: (b"openai-beta",),
}
_TRACE: Final = (b"traceparent", b"tracestate")
_SENDABLE = re.compile(r"[\t\x20-\x7e]*")
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]*)?")
_VERSION_0 = 55  # characters of a traceparent whose version has no further fields


def of_dialect(kind: str, headers: Raw) -> Passed:
    """Return what goes along to a provider of `kind`, in whose own dialect the caller speaks.

    Raises:
        BadRequest: a value holds what no header may, a line end above all.
    """
    return _named(_OF_KIND.get(kind, ()), headers)


def of_trace(headers: Raw) -> Passed:
    """Return the trace that a request is a part of; nothing where it names none, or none that can be read.

    "If the vendor failed to parse traceparent, it MUST NOT attempt to parse tracestate": so the two go together.

    Raises:
        BadRequest: as `of_dialect`.
    """
    found = _named(_TRACE, headers)
    if not (found and found[0][0] == "traceparent" and _is_parent(found[0][1])):
        return ()
    return found


def _named(names: tuple[bytes, ...], headers: Raw) -> Passed:
    values: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in names:
            values.setdefault(name, []).append(value)
    return tuple(_sendable(name, values[name]) for name in names if name in values)


def _sendable(name: bytes, values: list[bytes]) -> tuple[str, str]:
    # Lists, all of them but the traceparent, of which two together are none: several lines mean what one does.
    known, value = name.decode(), b", ".join(values).decode("latin-1")
    if not _SENDABLE.fullmatch(value):
        raise BadRequest("a header's value is ASCII on one line", known, "invalid_header")
    return known, value


def _is_parent(value: str) -> bool:
    return bool(_TRACEPARENT.fullmatch(value)) and (len(value) == _VERSION_0 or not value.startswith("00"))
