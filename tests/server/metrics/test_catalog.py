"""Every name that is counted is in the catalogue, with the labels that it is counted with."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import tailrace
from tailrace.server.metrics.catalog import CATALOG, UNSHOWN

ROOT = Path(tailrace.__file__).parent
KINDS = {"add": "counter", "durations": "durations", "gauge": "gauge"}


def counted() -> Iterator[tuple[str, str, int | None]]:
    """Each name that the source hands to a meter: how, which, and with how many labels where that can be seen."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            first = node.args[0].value
            if name in KINDS and isinstance(first, str) and re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", first):
                if name == "gauge":
                    labels: ast.expr | None = None
                else:
                    labels = next(iter(node.args[2 if name == "add" else 1 :]), None)
                size = len(labels.elts) if isinstance(labels, ast.Tuple) else None
                starred = isinstance(labels, ast.Tuple) and any(isinstance(each, ast.Starred) for each in labels.elts)
                yield KINDS[name], first, None if starred or (labels is not None and size is None) else size or 0


FOUND = sorted(set(counted()), key=str)
BY_NAME = {metric.name: metric for metric in CATALOG}


@pytest.mark.parametrize(("kind", "name", "labels"), FOUND)
def test_what_is_counted_is_in_the_catalogue_as_what_it_is(kind: str, name: str, labels: int | None) -> None:
    if name in UNSHOWN:
        return
    assert name in BY_NAME, f"say in server/metrics/catalog.py what {name!r} is called and means"
    metric = BY_NAME[name]
    assert metric.kind == kind
    if kind != "gauge" and labels is not None:
        assert len(metric.labels) == labels


def test_the_catalogue_holds_nothing_that_nobody_counts() -> None:
    by_hand = {"cpu.seconds", "log.dropped", "processes", "processes.silent"}  # made in `figures`
    assert not BY_NAME.keys() - {name for _, name, _ in FOUND} - by_hand


def test_names_are_those_of_prometheus_each_once_and_end_in_what_they_count_in() -> None:
    shown = [metric.shown for metric in CATALOG]
    assert len(set(shown)) == len(shown) == len(BY_NAME)
    for metric in CATALOG:
        assert re.fullmatch(r"(tailrace|process)_[a-z_]+", metric.shown)
        assert not metric.shown.endswith("_total"), "the format adds it"
        assert not {"le", "quantile"} & set(metric.labels)
        assert metric.text.endswith(".")
        if metric.kind == "durations":
            assert metric.shown.endswith("_seconds")


def test_the_documentation_has_each_metric_with_its_labels_and_its_meaning() -> None:
    page = (ROOT.parents[1] / "docs/topics/observability.md").read_text()
    for metric in CATALOG:
        name = f"{metric.shown}_total" if metric.kind == "counter" else metric.shown
        kind = "histogram" if metric.kind == "durations" else metric.kind
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        assert f"| `{name}` | {kind} | {labels} | {metric.text} |" in page
