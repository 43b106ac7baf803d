"""What a server's `/metrics` says, as a scraper reads it.

    figures = scrape(server)
    assert figures["tailrace_streams_ended_total", "outcome=gone"] == 1

Asked for by the metric's name and any of its labels, it is the sum of all that have them.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from tests.support.server import Server

__all__ = ["Scrape", "scrape"]


class Scrape:
    """The samples of one answer."""

    def __init__(self, text: str) -> None:
        families = text_string_to_metric_families(text)
        self._samples = [(each.name, each.labels, each.value) for family in families for each in family.samples]

    def __getitem__(self, asked: str | tuple[str, ...]) -> float:
        name, *labels = (asked,) if isinstance(asked, str) else asked
        wanted = dict(each.split("=", 1) for each in labels)
        return sum(value for each, has, value in self._samples if each == name and wanted.items() <= has.items())

    def __iter__(self) -> Iterator[str]:
        return iter({name for name, _, _ in self._samples})

    def labels(self, name: str) -> set[str]:
        """The names of the labels that a metric's samples have."""
        return {label for each, has, _ in self._samples if each == name for label in has}

    def values(self, name: str, label: str) -> set[str]:
        """The values of one label."""
        return {has[label] for each, has, _ in self._samples if each == name and label in has}

    def rising(self) -> dict[tuple[str, ...], float]:
        """All that may never fall."""
        ends = ("_total", "_count", "_bucket", "_sum")
        return {
            (name, *map("=".join, sorted(has.items()))): value
            for name, has, value in self._samples
            if name.endswith(ends)
        }


def scrape(server: Server) -> Scrape:
    """Ask a server."""
    answer = server.ask("GET", "/metrics")
    assert answer.status == 200, answer
    return Scrape(answer.body.decode())
