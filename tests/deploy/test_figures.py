"""The dashboard and the alert rules ask for nothing that a real server does not say."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tailrace.server.metrics.catalog import CATALOG
from tests.support.scrape import Scrape, scrape
from tests.support.server import Server
from tests.support.upstream import Script, Upstream

ROOT: Final = Path(__file__).parents[2]
DASHBOARD: Final = json.loads((ROOT / "deploy/grafana/tailrace.json").read_text())
ALERTS: Final = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
RULES: Final = [rule for group in ALERTS["groups"] for rule in group["rules"]]

SCRAPERS: Final = {"instance", "job", "le"}
"""Labels that are the scraper's own, or the format's."""
_METRIC: Final = re.compile(r"\b((?:tailrace|process)_[a-z_]+)(\{[^}]*\})?")
_BY: Final = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield f"{panel['title']} {target['refId']}", target["expr"]


EXPRESSIONS: Final = list(expressions())


def names_in(expression: str) -> set[str]:
    return {name for name, _ in _METRIC.findall(expression)}


def family(sample: str) -> str:
    return re.sub(r"_(total|bucket|count|sum)$", "", sample)


LABELS: Final = {metric.shown: set(metric.labels) for metric in CATALOG}


@pytest.fixture(scope="module")
def scraped() -> Iterator[Scrape]:
    """What a server says after an answer, a failover, a failure, a resume, a channel and a lost history."""
    settings = """
[chat]
default_model = "smart"
[store]
url = "sqlite:///{store}"
[channels]
history_events = 2
[providers.up]
kind = "anthropic"
base_url = "{url}"
[providers.down]
kind = "openai"
base_url = "http://127.0.0.1:9"
[models.smart]
retries = 0
targets = [ {{ provider = "down", model = "d" }} ]
fallback = [ {{ provider = "up", model = "m" }} ]
"""
    with Upstream() as upstream, tempfile.TemporaryDirectory() as folder:
        upstream.default = Script(pieces=("Hel", "lo"))
        with Server(settings.format(url=upstream.url, store=f"{folder}/x.db")) as server:
            assert server.ask("POST", "/api/chat", body={"message": "Hi"}).status == 200
            assert server.ask("POST", "/api/chat", body={"message": "Hi", "model": "down/d"}).status == 200
            with server.open("GET", "/events/news") as raw:
                raw.event()
                first = server.publish("news", "one")
            for text in ("two", "three", "four"):
                server.publish("news", text)
            with server.open("GET", "/events/news", {"Last-Event-ID": first}) as raw:
                raw.event()
            yield scrape(server)


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_every_metric_that_is_asked_for_exists(where: str, expression: str, scraped: Scrape) -> None:
    asked = names_in(expression)
    assert asked or expression.startswith("up{")
    for name in asked:
        metric = family(name) if family(name) in LABELS else name
        assert metric in LABELS, f"{name} is in no catalogue"
        # A counter with labels has no sample before something is counted.
        assert name in set(scraped) or LABELS[metric], f"{name} is not in a scrape"
        assert name in RARE or name in set(scraped), f"{name} is not in a scrape after traffic"


RARE: Final = {
    *("tailrace_cuts_total", "tailrace_gaps_total", "tailrace_limits_hit_total", "tailrace_store_errors_total"),
    "tailrace_streams_open",
}
"""What this traffic does not bring about, each counted in tests of its own."""


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_every_label_that_is_asked_for_is_one_of_its_metrics(where: str, expression: str) -> None:
    known = set().union(*(LABELS[family(name) if family(name) in LABELS else name] for name in names_in(expression)))
    for labels in _BY.findall(expression):
        grouped = {each.strip() for each in labels.split(",") if each.strip()}
        assert grouped <= known | SCRAPERS, f"{grouped - known - SCRAPERS} are nobody's"
    for name, selector in _METRIC.findall(expression):
        own = LABELS[family(name) if family(name) in LABELS else name]
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)) <= own | SCRAPERS, f"{selector} of {name}"


def test_each_figure_that_a_server_says_is_on_the_dashboard_but_for_what_it_is_itself() -> None:
    shown = {family(name) for where, expression in EXPRESSIONS for name in names_in(expression)}
    assert {metric.shown for metric in CATALOG} - shown == {"tailrace_build_info", "process_start_time_seconds"}


def test_each_alert_says_how_bad_it_is_and_what_is_wrong() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]
        used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        known: set[str] = set().union(*(LABELS[family(name)] for name in names_in(rule["expr"])))
        assert used <= known | SCRAPERS


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for place in [panel["gridPos"] for panel in panels]:
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
