"""What each counted name is called where it is shown, what its labels are, and what it means.

The floors count under short names and know nothing of this table; a test holds that each name that they use is in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["CATALOG", "UNSHOWN", "Kind", "Metric", "Together"]

Kind = Literal["counter", "durations", "gauge"]
Together = Literal["sum", "most", "least"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `name` is what the floors call it, `shown` what Prometheus does (a counter gets `_total` behind).

    `together` says what several processes' gauges come to; what only rises is always summed.
    """

    name: str
    shown: str
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()
    together: Together = "sum"


_TARGET: Final = ("provider", "model")

CATALOG: Final = (
    # Who reads.
    Metric("streams.open", "tailrace_streams_open", "gauge", "Streams that are open.", ("dialect",)),
    Metric("streams.opened", "tailrace_streams_opened", "counter", "Streams that were opened.", ("dialect",)),
    Metric(
        *("streams.ended", "tailrace_streams_ended", "counter"),
        "Streams that ended: with their log (ended), by the reader (gone), sent elsewhere (dismissed), or cut.",
        ("dialect", "outcome"),
    ),
    Metric("sockets.open", "tailrace_sockets_open", "gauge", "WebSockets that are open."),
    Metric("streams.direct", "tailrace_streams_direct", "counter", "Streams that took the direct lane."),
    Metric("streams.full", "tailrace_streams_full", "counter", "Times that a stream's peer took nothing more."),
    Metric("streams.slow", "tailrace_streams_slow", "gauge", "Streams whose peer takes nothing now."),
    Metric(
        *("pending.bytes", "tailrace_pending_bytes", "gauge"),
        "Bytes on their way to slow peers, in this process and its kernel.",
    ),
    Metric("cuts", "tailrace_cuts", "counter", "Streams that were cut, by reason.", ("reason",)),
    Metric("heartbeats", "tailrace_heartbeats", "counter", "Heartbeats after silence."),
    Metric(
        *("resumes", "tailrace_resumes", "counter", "Resumes, by what became of the cursor."),
        ("log", "verdict"),
    ),
    Metric("gaps", "tailrace_gaps", "counter", "Readers who lost something while connected.", ("reason",)),
    Metric(
        *("fan_out.seconds", "tailrace_fan_out_seconds", "durations"),
        "From the end of the loop's tick that brought records until everybody here who is live was written to.",
    ),
    Metric(
        *("publish_delay.seconds", "tailrace_publish_delay_seconds", "durations"),
        "From an event's time in the store until its readers here were written to.",
    ),
    # Answers.
    Metric("runs.open", "tailrace_runs_open", "gauge", "Answers that are being produced."),
    Metric("runs.started", "tailrace_runs_started", "counter", "Answers that were started."),
    Metric(
        *("runs.ended", "tailrace_runs_ended", "counter", "Answers that ended, by how and why."),
        ("status", "error"),
    ),
    Metric(
        *("run.seconds", "tailrace_run_duration_seconds", "durations", "How long answers took."),
        ("status",),
    ),
    Metric(
        *("first_token.seconds", "tailrace_first_token_seconds", "durations"),
        "From an answer's beginning until something was said, by who answered.",
        _TARGET,
    ),
    Metric(
        *("token_gap.seconds", "tailrace_token_gap_seconds", "durations"),
        "Between pieces of an answer as its provider sent them; what came in one piece counts once.",
    ),
    Metric(
        *("target.tokens", "tailrace_tokens", "counter"),
        "Tokens of answers that ended: in and out, told by the provider or estimated.",
        (*_TARGET, "direction", "source"),
    ),
    # Upstream.
    Metric(
        *("attempts", "tailrace_upstream_attempts", "counter"),
        "Tries of a target by answers that ended: answered, abandoned, skipped, or the error's type.",
        (*_TARGET, "outcome"),
    ),
    Metric(
        *("failovers", "tailrace_upstream_failovers", "counter"),
        "Answers that went on to another target after this one.",
        _TARGET,
    ),
    Metric(
        *("breakers", "tailrace_upstream_breakers", "gauge"),
        "Processes whose circuit breaker for a target is in a state.",
        (*_TARGET, "state"),
    ),
    Metric(
        *("upstream.open", "tailrace_upstream_streams_open", "gauge", "Answers in progress at a provider."),
        ("provider",),
    ),
    Metric(
        *("upstream.waiting", "tailrace_upstream_streams_waiting", "gauge", "Answers that wait for a place."),
        ("provider",),
    ),
    # The store, and the other instances on it.
    Metric(
        *("store.seconds", "tailrace_store_operation_seconds", "durations", "How long the store took."),
        ("operation",),
    ),
    Metric(
        *("store.errors", "tailrace_store_errors", "counter", "What the store refused or failed on."),
        ("operation", "error"),
    ),
    Metric("store.queue", "tailrace_store_queue_batches", "gauge", "Batches that wait for the store."),
    Metric(
        *("store.failing", "tailrace_store_failing_seconds", "gauge"),
        "For how long the store has taken nothing; 0 where it does.",
        (),
        "most",
    ),
    Metric("leases.reaped", "tailrace_leases_reaped", "counter", "Answers of dead instances that were ended here."),
    Metric("leases.lost", "tailrace_leases_lost", "counter", "Answers of this instance that others ended."),
    Metric("instances.reaped", "tailrace_instances_reaped", "counter", "Dead instances that were cleared away here."),
    # Leaving.
    Metric("draining", "tailrace_draining_processes", "gauge", "Processes that are leaving."),
    Metric("draining.streams", "tailrace_draining_streams", "gauge", "Streams still open in processes that leave."),
    Metric("draining.runs", "tailrace_draining_runs", "gauge", "Answers that go on in processes that leave."),
    # Limits.
    Metric("limits.hit", "tailrace_limits_hit", "counter", "Requests and answers over a limit.", ("limit",)),
    Metric("limits.failed", "tailrace_limits_failed", "counter", "Decisions that were made without the shared store."),
    Metric(
        *("limits.degraded", "tailrace_limits_degraded", "gauge"),
        "Whether limits are decided without the shared store now.",
        (),
        "most",
    ),
    # The processes.
    Metric("requests", "tailrace_http_requests", "counter", "HTTP requests."),
    Metric("requests.failed", "tailrace_http_requests_failed", "counter", "HTTP requests answered with 500 or above."),
    Metric(
        *("loop_lag.seconds", "tailrace_event_loop_lag_seconds", "durations"),
        "How late the event loop was, looked at twice a second.",
    ),
    Metric("log.dropped", "tailrace_log_lines_dropped", "counter", "Log lines that nobody took."),
    Metric("processes", "tailrace_processes", "gauge", "Processes that answered for these figures."),
    Metric("processes.silent", "tailrace_processes_silent", "gauge", "Processes that did not answer in time."),
    Metric("build", "tailrace_build_info", "gauge", "The release that answers.", ("version",), "most"),
    Metric("memory.bytes", "process_resident_memory_bytes", "gauge", "Resident memory."),
    Metric("cpu.seconds", "process_cpu_seconds", "counter", "CPU time, user and system."),
    Metric("descriptors", "process_open_fds", "gauge", "Open file descriptors."),
    Metric(
        *("started", "process_start_time_seconds", "gauge", "When the oldest process began, since the epoch."),
        (),
        "least",
    ),
)
"""Every metric, in the order in which they are shown."""

UNSHOWN: Final = frozenset({"tokens"})
"""Counted for others than operators: `/health` says them, and by target they are shown anyway."""
