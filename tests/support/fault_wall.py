"""What upstreams do wrong, and what a caller of `/v1` gets then: one table for the tests and for the docs."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.upstream import Script

__all__ = ["FAULTS", "PATIENCE", "Fault", "table"]

PATIENCE = 0.6
"""The providers' `first_token` and `idle`, in seconds: what in production is a minute."""


@dataclass(frozen=True)
class Fault:
    """One fault and its outcome.

    `scripts` are the upstream's answers: one alone goes on for ever, after several all is well; with `off` nobody
    listens there. `error` is the type and `status` the HTTP status that a caller gets in the end, None and 200 where
    there is an answer; `code` is the provider's own word for it, where it gave one. `begun` says that the answer had
    begun, `own` that the request itself is at fault, so that nobody else is asked. `tries` is how often the upstream
    is asked.
    """

    name: str
    scripts: tuple[Script, ...] = (Script(),)
    error: str | None = None
    status: int = 200
    tries: int = 1
    begun: bool = False
    own: bool = False
    off: bool = False
    code: str | None = None

    @property
    def row(self) -> str:
        """The fault's row of the table in the docs."""
        if self.error is None:
            streaming = whole = fallback = "answered"
        else:
            whole = f"{self.status} `{self.code or self.error}`"
            streaming = f"error event `{self.error}`" if self.begun else whole
            fallback = "the same" if self.begun or self.own else "answered"
        return f"| {self.name} | {self.tries} | {streaming} | {whole} | {fallback} |"


def table() -> str:
    """The table in the docs, without a line end at its end."""
    head = "| the provider | tries | streaming | not streaming | with a fallback |"
    return "\n".join([head, "|---|--:|---|---|---|", *[fault.row for fault in FAULTS]])


_WELL = Script()
_TOO_LONG = {"error": {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}}
_FILTERED = {"error": {"message": "filtered", "type": "invalid_request_error", "code": "content_filter"}}
_AGAIN = {"Retry-After": "0.05"}


FAULTS = (
    Fault("429 with `Retry-After`, then well", (Script(status=429, headers=_AGAIN), _WELL), tries=2),
    Fault("429 for ever", (Script(status=429),), "provider_rate_limited", 429, tries=2),
    Fault("500 once", (Script(status=500), _WELL), tries=2),
    Fault("503 for ever", (Script(status=503),), "provider_overloaded", 503, tries=2),
    Fault("refuses connections", (Script(),), "provider_unreachable", 502, tries=2, off=True),
    Fault("resets before its headers", (Script(fault="reset before head"),), "provider_unreachable", 502, tries=2),
    Fault("closes before its headers", (Script(fault="close before head"),), "provider_unreachable", 502, tries=2),
    Fault("never answers", (Script(fault="no head"),), "provider_first_token_timeout", 504),
    Fault("sends its headers only", (Script(fault="head only"),), "provider_first_token_timeout", 504),
    Fault(
        "begins later than `first_token` allows",
        (Script(first_delay=5 * PATIENCE),),
        "provider_first_token_timeout",
        504,
    ),
    Fault("begins late, within `first_token`", (Script(first_delay=PATIENCE / 3),)),
    Fault("fails and is well in turns", (Script(fault="reset before head"), _WELL) * 2, tries=2),
    Fault(
        "says 400: context too long",
        (Script(status=400, body=_TOO_LONG),),
        "provider_rejected",
        400,
        own=True,
        code="context_length_exceeded",
    ),
    Fault(
        "says 400: content filtered",
        (Script(status=400, body=_FILTERED),),
        "provider_rejected",
        400,
        own=True,
        code="content_filter",
    ),
    Fault("says 401 or 403: our key", (Script(status=401),), "provider_auth", 502),
    Fault("sends what is no event stream", (Script(content_type="text/html"),), "provider_malformed", 502),
    Fault("compresses its stream (gzip)", (Script(gzip=True),)),
    Fault("reports an error before content", (Script(fault="error"),), "provider_overloaded", 503, tries=2),
    Fault("sends a malformed first frame", (Script(fault="malformed"),), "provider_malformed", 502),
    Fault("ends its stream before content", (Script(fault="eof"),), "provider_incomplete", 502, tries=2),
    Fault("reports an error after content", (Script(fault="error", after=2),), "provider_overloaded", 503, begun=True),
    Fault("resets in the middle", (Script(fault="reset", after=3, delay=0.02),), "provider_cut", 502, begun=True),
    Fault("closes within its body", (Script(fault="cut", after=2),), "provider_cut", 502, begun=True),
    Fault(
        "ends its stream cleanly in the middle", (Script(fault="eof", after=2),), "provider_incomplete", 502, begun=True
    ),
    Fault("leaves its terminal out", (Script(fault="no terminal"),), "provider_incomplete", 502, begun=True),
    Fault(
        "sends a malformed frame in the middle",
        (Script(fault="malformed", after=2),),
        "provider_malformed",
        502,
        begun=True,
    ),
    Fault(
        "falls silent for `idle`",
        (Script(fault="stall", after=2),),
        "provider_idle_timeout",
        504,
        begun=True,
    ),
)
"""All of them; a target has its usual one more try."""
