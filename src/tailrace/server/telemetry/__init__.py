"""OpenTelemetry, as an extra: a span and some figures for each answer, sent to a collector.

`names` are the conventions' names, `spans` fills them in, `sending` holds what sends them. Without the extra
`tailrace[otel]` there is nothing here to import; `open_telemetry` says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from tailrace.chat.models import Target
from tailrace.errors import MissingExtra
from tailrace.server.settings import Provider
from tailrace.server.settings import Telemetry as Options

if TYPE_CHECKING:
    from tailrace.server.telemetry.sending import Telemetry

__all__ = ["open_telemetry"]


def open_telemetry(options: Options, providers: Mapping[str, Provider], named: Collection[Target]) -> Telemetry | None:
    """Telemetry as settings ask for it; None where they do not. Sends nothing yet.

    Raises `MissingExtra` where it is asked for and not installed.
    """
    if not options.endpoint:
        return None
    try:
        from tailrace.server.telemetry.sending import Telemetry  # noqa: PLC0415  # only where it is asked for
    except ModuleNotFoundError as missing:
        raise MissingExtra("[telemetry]", "otel") from missing
    return Telemetry(options, providers, named)
