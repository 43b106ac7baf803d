"""What the web application is told by whoever serves it."""

from __future__ import annotations

from dataclasses import dataclass

from tailrace.web.tracing import Tracer

__all__ = ["WebOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebOptions:
    """Bounds and permissions of the HTTP surface.

    `max_body` is in bytes. `cors_origins` are the origins whose pages may use this server, `*` for all.
    `allowed_hosts` are the names that it answers to; none given: all, or with `local_names` those that nobody else can
    have lead here. `max_grace` (seconds; None: no bound)
    is the grace of a run where its request names none, and the most that one may ask for. For `open_after`
    seconds an answer in a dialect of others waits for its first content before its HTTP status is told. `tracer`
    follows answers across services, and with `log_prompts` what is asked is logged. `demo` is whether there is a
    page `/demo`, and what it shows.
    """

    max_body: int = 1_048_576
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    local_names: bool = False
    max_grace: float | None = 10.0
    open_after: float = 8.0
    tracer: Tracer | None = None
    log_prompts: bool = False
    demo: bool = False
