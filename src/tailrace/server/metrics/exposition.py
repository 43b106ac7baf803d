"""Figures as Prometheus reads them: its text format, or OpenMetrics where that is what it accepts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from tailrace.observe import BOUNDS, Labels, Snapshot, Spread
from tailrace.server.metrics import catalog

__all__ = ["expose"]

T = TypeVar("T")

_BOUNDS: Final = (*map(floatToGoString, BOUNDS), "+Inf")


def expose(snapshot: Snapshot, accept: str) -> tuple[bytes, str]:
    """Return a snapshot as what `accept` asks for, and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(snapshot))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Once(Collector):
    """A snapshot, as the library asks for it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._sums = _by_name(snapshot.sums)
        self._gauges = _by_name(snapshot.gauges)
        self._spreads = _by_name(snapshot.spreads)

    def collect(self) -> Iterable[Metric]:
        """Each metric of the catalogue: those without labels with 0 where nothing was counted."""
        return map(self._family, catalog.CATALOG)

    def _family(self, metric: catalog.Metric) -> Metric:
        if metric.kind == "durations":
            return _durations(metric, self._spreads.get(metric.name, {}))
        shape = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        family = shape(metric.shown, metric.text, labels=metric.labels)
        values = (self._sums if metric.kind == "counter" else self._gauges).get(metric.name, {})
        for labels, value in _sorted(values, metric) or ([((), 0.0)] if not metric.labels else ()):
            family.add_metric(labels, value)
        return family


def _durations(metric: catalog.Metric, spreads: Mapping[Labels, Spread]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(metric.shown, metric.text, labels=metric.labels)
    nothing = [((), Spread([0] * len(_BOUNDS), 0.0))] if not metric.labels else []
    for labels, spread in _sorted(spreads, metric) or nothing:
        family.add_metric(labels, list(zip(_BOUNDS, _running(spread.counts), strict=False)), spread.total)
    return family


def _running(counts: Iterable[int]) -> Iterator[float]:
    total = 0
    for count in counts:
        total += count
        yield total


def _sorted(values: Mapping[Labels, T], metric: catalog.Metric) -> list[tuple[Labels, T]]:
    """In an order that does not change, and without what another release labels otherwise."""
    return sorted((pair for pair in values.items() if len(pair[0]) == len(metric.labels)), key=lambda pair: pair[0])


def _by_name(values: Mapping[tuple[str, Labels], T]) -> dict[str, dict[Labels, T]]:
    found: defaultdict[str, dict[Labels, T]] = defaultdict(dict)
    for (name, labels), value in values.items():
        found[name][labels] = value
    return found
