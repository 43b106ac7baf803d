"""[log] and [telemetry]: what a server says of itself, and to whom."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tailrace.errors import SettingsError
from tailrace.server.settings.section import NonEmpty, Section
from tailrace.server.settings.urls import is_http

__all__ = ["Log", "Telemetry"]


class Log(Section, frozen=True, kw_only=True):
    """[log]: what is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """At `info`, one line for each answer's end; at `warning`, only what goes wrong."""
    format: Literal["auto", "json", "text"] = "auto"
    """`auto`: text on a terminal, JSON elsewhere."""
    prompts: bool = False
    """Whether what is asked is logged, too."""


class Telemetry(Section, frozen=True, kw_only=True):
    """[telemetry]: traces and metrics by OpenTelemetry, where an `endpoint` is named."""

    endpoint: str = ""
    """A collector's base URL for OTLP over HTTP, as `http://127.0.0.1:4318`; empty: no telemetry."""
    service: NonEmpty = "tailrace"
    """What this service is called there."""
    sample: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """The share of traces that begin here and are sent; one that a caller has begun follows its caller."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.endpoint and not is_http(self.endpoint):
            raise SettingsError(f"endpoint: expected http://host[:port] or https://…, got {self.endpoint!r}")
