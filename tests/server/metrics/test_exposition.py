"""Figures as Prometheus reads them, judged by the parsers of its own library."""

from __future__ import annotations

from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from tailrace.observe import BOUNDS, Counters
from tailrace.server.metrics.catalog import CATALOG
from tailrace.server.metrics.exposition import expose


def filled() -> Counters:
    counters = Counters()
    counters.add("heartbeats", 3)
    counters.add("cuts", 2, ("write_timeout",))
    counters.add("cuts", 1, ("failed",))
    counters.gauge("streams.open", lambda: {("native",): 4})
    for seconds in (0.0001, 0.02, 1000):
        counters.durations("fan_out.seconds").observe(seconds)
    return counters


def test_both_formats_are_read_by_their_parsers_and_say_the_same() -> None:
    snapshot = filled().snapshot()
    text, text_type = expose(snapshot, "*/*")
    openmetrics, openmetrics_type = expose(snapshot, "application/openmetrics-text; version=1.0.0")
    assert text_type.startswith("text/plain; version=0.0.4")
    assert openmetrics_type.startswith("application/openmetrics-text; version=1.0.0")
    one = {(s.name, *sorted(s.labels.items())): s.value for f in prometheus(text.decode()) for s in f.samples}
    families = open_metrics(openmetrics.decode())  # type: ignore[no-untyped-call]  # the library does not say
    other = {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}
    assert one == other
    assert one["tailrace_heartbeats_total",] == 3
    assert one["tailrace_cuts_total", ("reason", "write_timeout")] == 2
    assert one["tailrace_streams_open", ("dialect", "native")] == 4


def test_durations_are_a_histogram_whose_buckets_add_up() -> None:
    text, _ = expose(filled().snapshot(), "")
    (family,) = [each for each in prometheus(text.decode()) if each.name == "tailrace_fan_out_seconds"]
    buckets = {s.labels["le"]: s.value for s in family.samples if s.name.endswith("_bucket")}
    assert len(buckets) == len(BOUNDS) + 1
    assert (buckets["0.0001"], buckets["0.01"], buckets["0.025"], buckets["900.0"], buckets["+Inf"]) == (1, 1, 2, 2, 3)
    assert {s.name.rsplit("_")[-1]: s.value for s in family.samples if not s.labels} == {"count": 3, "sum": 1000.0201}


def test_each_metric_is_told_before_anything_was_counted() -> None:
    text, _ = expose(Counters().snapshot(), "")
    told = {family.name: family.documentation for family in prometheus(text.decode())}
    assert told == {metric.shown: metric.text for metric in CATALOG}


def test_what_another_release_labels_otherwise_is_left_out() -> None:
    counters = Counters()
    counters.add("cuts", 1, ("failed", "native"))
    text, _ = expose(counters.snapshot(), "")
    assert b"tailrace_cuts_total{" not in text
