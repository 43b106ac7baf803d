"""Answers as OpenTelemetry's spans, and what they took as its histograms.

A span stands for the whole answer, with all retries and failovers, as the conventions ask; each try is an event of it.
What was asked and answered is in none of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.metrics import Histogram, Meter
from opentelemetry.trace import Span as Followed
from opentelemetry.trace import SpanKind, Status, StatusCode, format_span_id, format_trace_id, set_span_in_context
from opentelemetry.trace import Tracer as Followers
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tailrace.chat.ask import Ask
from tailrace.chat.models import Target
from tailrace.chat.passing import Passed
from tailrace.runs import Ended
from tailrace.runs import Status as RunStatus
from tailrace.server.telemetry.names import OPERATION, PROVIDERS, Attribute, Metric

__all__ = ["Histograms", "Place", "RunSpan", "Spans"]

_ASKED: Final = (
    ("max_tokens", Attribute.REQUEST_MAX_TOKENS),
    ("temperature", Attribute.REQUEST_TEMPERATURE),
    ("top_p", Attribute.REQUEST_TOP_P),
)
_USED: Final = (
    ("input_tokens", Attribute.INPUT_TOKENS),
    ("output_tokens", Attribute.OUTPUT_TOKENS),
    ("cached_input_tokens", Attribute.CACHE_READ_TOKENS),
    ("cache_creation_input_tokens", Attribute.CACHE_CREATION_TOKENS),
    ("reasoning_tokens", Attribute.REASONING_TOKENS),
)
_OTHER: Final = "other"
_TRACE_CONTEXT: Final = TraceContextTextMapPropagator()

Attributes = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """A configured provider: the kind of its API, and where it is; no address where nothing is asked for an answer."""

    kind: str
    address: str = ""
    port: int = 0

    def told(self) -> Attributes:
        """As the conventions name it."""
        where = {Attribute.SERVER_ADDRESS: self.address, Attribute.SERVER_PORT: self.port} if self.address else {}
        return {Attribute.PROVIDER: PROVIDERS.get(self.kind, self.kind), **where}


class Histograms:
    """What answers took. `named` are the targets that an operator has named: no other model has a series of its own."""

    def __init__(self, meter: Meter, named: Collection[Target]) -> None:
        self._named = frozenset(named)
        self._seconds = _histogram(meter, Metric.DURATION, "s", Metric.SECONDS)
        self._first = _histogram(meter, Metric.FIRST_CHUNK, "s", Metric.SECONDS)
        self._tokens = _histogram(meter, Metric.TOKENS, "{token}", Metric.TOKEN_COUNTS)

    def record(self, ended: Ended, place: Place) -> None:
        """Take one."""
        account = ended.account
        known = Target(account.provider, account.model) in self._named
        model = account.model if known else _OTHER
        attributes = {
            Attribute.OPERATION: OPERATION,
            Attribute.REQUEST_MODEL: model,
            Attribute.RESPONSE_MODEL: model,
            **place.told(),
        }
        failed = {Attribute.ERROR_TYPE: str(ended.error.type)} if ended.error is not None else {}
        self._seconds.record(account.seconds, {**attributes, **failed})
        if account.first_token is not None:
            self._first.record(account.first_token, attributes)
        if not account.usage["estimated"]:  # "Otherwise it MUST NOT report usage metric"
            for kind in ("input", "output"):
                self._tokens.record(account.usage[f"{kind}_tokens"], {**attributes, Attribute.COUNTED: kind})


class Spans:
    """Implements `tailrace.web.tracing.Tracer`. `places` are the configured providers by name."""

    def __init__(self, followers: Followers, histograms: Histograms, places: Mapping[str, Place]) -> None:
        self._followers = followers
        self._histograms = histograms
        self._places = places

    def begin(self, parent: Passed, target: Target, ask: Ask | None) -> RunSpan:
        """Begin the span of an answer."""
        asked = {name: getattr(ask, field) for field, name in _ASKED if getattr(ask, field, None) is not None}
        span = self._followers.start_span(
            f"{OPERATION} {target.model}",
            _TRACE_CONTEXT.extract(dict(parent)),
            SpanKind.CLIENT,
            {
                Attribute.OPERATION: OPERATION,
                Attribute.REQUEST_MODEL: target.model,
                Attribute.REQUEST_STREAM: True,
                **self._place(target.provider).told(),
                **asked,
            },
        )
        return RunSpan(span, self)

    def end(self, span: Followed, ended: Ended) -> None:
        """Write down what became of an answer."""
        account, place = ended.account, self._place(ended.account.provider)
        self._histograms.record(ended, place)
        span.set_attributes({**place.told(), **_result(ended)})
        for attempt in account.attempts:
            target = Attribute.TARGET, Attribute.REQUEST_MODEL, Attribute.OUTCOME, Attribute.SECONDS
            values = attempt["provider"], attempt["model"], str(attempt["outcome"]), attempt["seconds"]
            span.add_event("tailrace.attempt", dict(zip(target, values, strict=True)))
        if ended.status in {RunStatus.FAILED, RunStatus.INTERRUPTED}:
            # Without the message: it is the provider's, and may repeat what it was asked.
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def _place(self, provider: str) -> Place:
        return self._places.get(provider) or Place(provider or "application")


class RunSpan:
    """One run's span."""

    __slots__ = ("_span", "_spans")

    def __init__(self, span: Followed, spans: Spans) -> None:
        self._span = span
        self._spans = spans

    @property
    def ids(self) -> tuple[str, str]:
        """The trace's id and its own."""
        context = self._span.get_span_context()
        return format_trace_id(context.trace_id), format_span_id(context.span_id)

    @property
    def headers(self) -> Passed:
        """The trace context of requests that are made for it."""
        carrier: dict[str, str] = {}
        _TRACE_CONTEXT.inject(carrier, set_span_in_context(self._span))
        return tuple(carrier.items())

    def ended(self, ended: Ended) -> None:
        """Hear how the run ended."""
        self._spans.end(self._span, ended)


def _result(ended: Ended) -> Attributes:
    account = ended.account
    result: Attributes = {
        Attribute.RUN: ended.run,
        Attribute.STATUS: str(ended.status),
        Attribute.RESPONSE_MODEL: account.model,
        Attribute.ESTIMATED: account.usage["estimated"],
        **{name: account.usage[field] for field, name in _USED if field in account.usage},
    }
    if ended.reason:
        result[Attribute.FINISH_REASONS] = [ended.reason]
    if account.first_token is not None:
        result[Attribute.TIME_TO_FIRST_CHUNK] = account.first_token
    if ended.error is not None:
        result[Attribute.ERROR_TYPE] = str(ended.error.type)
    return result


def _histogram(meter: Meter, name: str, unit: str, bounds: tuple[float, ...]) -> Histogram:
    return meter.create_histogram(name, unit, explicit_bucket_boundaries_advisory=list(bounds))
