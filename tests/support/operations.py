"""What the operations page is told, read without a browser.

with watching(server) as reports:
    row = reports.until(lambda seen: seen.row(name="news"))
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from tests.support.raw import Raw
from tests.support.server import Server

__all__ = ["Reports", "watching"]

Found = TypeVar("Found")
STREAM = {"accept": "text/event-stream"}


class Reports:
    """The newest report of each instance, as they come over one connection."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw
        self.newest: dict[str, dict[str, Any]] = {}
        ready = raw.event()
        assert ready.event == "ready"
        self.ready: dict[str, Any] = json.loads(ready.data)
        self._take(*self.ready["reports"])

    def _take(self, *reports: dict[str, Any]) -> None:
        self.newest |= {each["id"]: each for each in reports}

    @property
    def here(self) -> dict[str, Any]:
        """What the instance that is asked says of itself; nothing, before it has."""
        return self.newest.get(self.ready["here"], defaultdict(dict))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All open streams that are told, each with the name of its instance."""
        return [row | {"instance": each["id"]} for each in self.newest.values() for row in each["open"]]

    def row(self, **fields: object) -> dict[str, Any] | None:
        """The first open stream with these fields."""
        return next((row for row in self.rows if fields.items() <= row.items()), None)

    def until(self, look: Callable[[Reports], Found | None], timeout: float = 15) -> Found:
        """Read on until `look` finds something."""
        deadline = time.monotonic() + timeout
        while not (found := look(self)):
            assert time.monotonic() < deadline, self.newest
            event = self._raw.event()
            if event.event in {"report", "watched"}:
                self._take(json.loads(event.data))
        return found


@contextmanager
def watching(server: Server, headers: Mapping[str, str] | None = None) -> Iterator[Reports]:
    """Watch the operations of the fleet that `server` belongs to."""
    with server.open("GET", "/dashboard/events", {**STREAM, **(headers or {})}) as raw:
        yield Reports(raw)
