"""What sends spans and figures to a collector, from threads of its own: batches, a bounded queue, and an end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from tailrace import __version__
from tailrace.chat.ask import Ask
from tailrace.chat.models import Target
from tailrace.chat.passing import Passed
from tailrace.clock import SYSTEM, Clock
from tailrace.runs import Span
from tailrace.server.settings import Provider
from tailrace.server.settings import Telemetry as Options
from tailrace.server.telemetry.spans import Histograms, Place, Spans

__all__ = ["Seldom", "Telemetry"]

_LAST_WORDS: Final = 2.0
"""Seconds in which what was not sent yet may be sent when the process leaves."""
_SELDOM: Final = 60.0
"""Seconds between two complaints of an exporter."""


class Seldom(logging.Filter):
    """Lets a line through once in a while: an exporter complains of each attempt to reach a collector that is away."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        super().__init__()
        self._clock = clock
        self._said: float | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether this one is let through."""
        now = self._clock.monotonic()
        if self._said is not None and now - self._said < _SELDOM:
            return False
        self._said = now
        return True


class Telemetry:
    """Implements `tailrace.web.tracing.Tracer`: everything of OpenTelemetry in this process.

    What the environment says (`OTEL_…`) counts beside the settings.

    `processor` and `reader` are where spans and figures go; those of a collector where none is given.
    """

    def __init__(
        self,
        options: Options,
        providers: Mapping[str, Provider],
        named: Collection[Target],
        processor: SpanProcessor | None = None,
        reader: MetricReader | None = None,
    ) -> None:
        for exporter in (OTLPSpanExporter, OTLPMetricExporter):
            logging.getLogger(exporter.__module__).filters = [Seldom()]
        url = options.endpoint.rstrip("/")
        process = {"service.instance.id": f"{socket.gethostname()}-{os.getpid()}", "service.version": __version__}
        resource = Resource.create({"service.name": options.service, **process})
        # Not for other libraries of this process, and ended by nobody but us: nothing here is OpenTelemetry's global.
        self._traces = TracerProvider(ParentBased(TraceIdRatioBased(options.sample)), resource, shutdown_on_exit=False)
        self._traces.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
        reader = reader or PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics"))
        self._figures = MeterProvider([reader], resource, shutdown_on_exit=False)
        histograms = Histograms(self._figures.get_meter("tailrace", __version__), named)
        places = {name: _place(provider) for name, provider in providers.items()}
        self._spans = Spans(self._traces.get_tracer("tailrace", __version__), histograms, places)

    def begin(self, parent: Passed, target: Target, ask: Ask | None) -> Span:
        """Begin the span of an answer."""
        return self._spans.begin(parent, target, ask)

    async def close(self) -> None:
        """Send what is left, for a moment: a collector that is away must not keep a process from leaving."""
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def send() -> None:
            self._traces.shutdown()
            self._figures.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(sent.set)

        # Not the loop's executor, whose threads are waited for at the end of the process.
        threading.Thread(target=send, daemon=True, name="telemetry ends").start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await sent.wait()


def _place(provider: Provider) -> Place:
    parts = urlsplit(provider.base_url)
    if not parts.hostname:
        return Place(provider.kind)
    return Place(provider.kind, parts.hostname, parts.port or {"http": 80}.get(parts.scheme, 443))
