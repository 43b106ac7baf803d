"""A collector of OpenTelemetry on a socket: what was sent to it by OTLP over HTTP.

with Collector() as collector:
    ...
    (span,) = collector.spans(1)
    assert span.attributes["gen_ai.operation.name"] == "chat"
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.hosted import until

__all__ = ["Collector", "Sent"]


@dataclass(frozen=True, slots=True)
class Sent:
    """A span as it arrived; ids in hexadecimal."""

    name: str
    trace: str
    span: str
    parent: str
    failed: bool
    attributes: dict[str, Any]
    events: list[dict[str, Any]]
    resource: dict[str, Any]


class Collector:
    """Takes whatever is sent."""

    def __init__(self) -> None:
        self._bodies: list[tuple[str, bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                outer._bodies.append((self.path, body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  # the base class's own word
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def spans(self, count: int) -> list[Sent]:
        """Wait until that many spans are here; all of them."""
        until(lambda: len(self._spans()) >= count, 15)
        return self._spans()

    def figures(self) -> dict[str, list[dict[str, Any]]]:
        """The attributes of each metric's series."""
        found: dict[str, list[dict[str, Any]]] = {}
        for path, body in self._bodies:
            if path == "/v1/metrics":
                for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    for metric in [each for scope in resource.scope_metrics for each in scope.metrics]:
                        points = metric.histogram.data_points
                        found[metric.name] = [_told(point.attributes) for point in points]
        return found

    def raw(self) -> bytes:
        """All that was sent."""
        return b"".join(body for _, body in self._bodies)

    def _spans(self) -> list[Sent]:
        return [
            Sent(
                *(span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()),
                span.status.code == 2,
                _told(span.attributes),
                [_told(event.attributes) for event in span.events],
                _told(resource.resource.attributes),
            )
            for path, body in self._bodies
            if path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


def _told(attributes: Iterable[Any]) -> dict[str, Any]:
    told = {}
    for each in attributes:
        kind = each.value.WhichOneof("value")
        value = getattr(each.value, kind)
        told[each.key] = [item.string_value for item in value.values] if kind == "array_value" else value
    return told
