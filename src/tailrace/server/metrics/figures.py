"""All figures of a server: those that its parts have counted, and those that are read when somebody asks."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tailrace import __version__
from tailrace.chat.gateway import Gateway
from tailrace.facade import Tailrace
from tailrace.observe import Key, Labels, Snapshot
from tailrace.server.logs import lost_lines
from tailrace.server.metrics import together
from tailrace.server.metrics.exposition import expose
from tailrace.server.metrics.lag import Lag
from tailrace.server.metrics.runs import RunFigures, named_targets

__all__ = ["Figures"]

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_STATES: Final = ("closed", "half_open", "open")


class Figures:
    """Implements `tailrace.web.metrics.Exporter` for one process, and for what others say of themselves."""

    def __init__(self, tailrace: Tailrace, gateway: Gateway) -> None:
        self._tailrace = tailrace
        self._gateway = gateway
        self._started = time.time()
        self._lag = Lag(tailrace.counters.durations("loop_lag.seconds"))
        tailrace.runs.observers.append(RunFigures(tailrace.counters, named_targets(gateway)))
        self._register()

    def start(self) -> None:
        """Begin to look at what has to be looked at again and again, in the running event loop."""
        self._lag.start()

    def stop(self) -> None:
        """Look no more."""
        self._lag.stop()

    def snapshot(self) -> Snapshot:
        """The figures of this process."""
        counted = self._tailrace.counters.snapshot()
        times = os.times()
        own: dict[Key, float] = {("cpu.seconds", ()): times.user + times.system, ("log.dropped", ()): lost_lines()}
        return replace(counted, sums={**counted.sums, **own})

    def said(self) -> Mapping[str, Any]:
        """The figures of this process, as another one is told them."""
        return together.as_json(self.snapshot())

    def fold(self, left: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """What several processes that are gone have said last, as if one had said it."""
        return together.as_json(together.risen([together.from_json(each) for each in left]))

    def render(
        self, said: Sequence[Mapping[str, Any]], left: Sequence[Mapping[str, Any]], silent: int, accept: str
    ) -> tuple[bytes, str]:
        """The figures of all processes as `accept` asks for them; and their content type."""
        each, gone = ([together.from_json(one) for one in ones] for ones in (said, left))
        total = together.together(each, gone)
        gauges = {**total.gauges, ("processes", ()): float(len(each)), ("processes.silent", ()): float(silent)}
        return expose(replace(total, gauges=gauges), accept)

    # What there is now.

    def _register(self) -> None:
        tailrace, gauge = self._tailrace, self._tailrace.counters.gauge
        subscriptions, runs = tailrace.hub.subscriptions, tailrace.runs
        gauge("streams.open", self._open)
        gauge("streams.slow", lambda: sum(each.full for each in subscriptions))
        gauge("pending.bytes", lambda: sum(each.pending for each in subscriptions if each.full))
        gauge("runs.open", lambda: len(runs.live))
        gauge("breakers", self._breakers)
        gauge("upstream.open", lambda: {(name,): load[0] for name, load in self._gateway.loads.items()})
        gauge("upstream.waiting", lambda: {(name,): load[1] for name, load in self._gateway.loads.items()})
        gauge("store.queue", lambda: runs.unwritten)
        gauge("store.failing", self._failing)
        gauge("draining", lambda: tailrace.draining)
        gauge("draining.streams", lambda: len(subscriptions) if tailrace.draining else 0)
        gauge("draining.runs", lambda: len(runs.live) if tailrace.draining else 0)
        gauge("memory.bytes", _resident_bytes)
        gauge("descriptors", _descriptors)
        gauge("started", lambda: self._started)
        gauge("build", lambda: {(__version__,): 1})

    def _open(self) -> Mapping[Labels, float]:
        return Counter((each.view.renderer.dialect,) for each in self._tailrace.hub.subscriptions)

    def _breakers(self) -> Mapping[Labels, float]:
        return {
            (target.provider, target.model, state): breaker.state == state
            for target, breaker in self._gateway.breakers.items()
            for state in _STATES
        }

    def _failing(self) -> float:
        since = self._tailrace.hub.store.failing_since
        return 0.0 if since is None else max(0.001, time.time() - since)


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        import resource  # noqa: PLC0415  # only where there is no /proc, and then it is the peak

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _descriptors() -> int:
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return 0
