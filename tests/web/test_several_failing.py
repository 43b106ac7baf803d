"""What is told of a call that publishes to several channels where the store takes some of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.applications import Starlette

from tailrace import Tailrace
from tailrace.errors import StoreError, StoreUnavailable
from tailrace.log import Position
from tailrace.testing import Harness
from tailrace.web import WebOptions
from tailrace.web.several import Several

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("errors", "status", "code"),
    [
        ({"channel:b": StoreUnavailable("away", 3.0)}, 503, "store_unavailable"),
        ({"channel:b": StoreError("it holds something else")}, 500, "internal"),
        ({"channel:b": StoreError("it holds something else"), "channel:c": StoreUnavailable("away")}, 503, "internal"),
    ],
)
async def test_each_event_is_told_to_be_somewhere_or_nowhere(
    monkeypatch: pytest.MonkeyPatch, errors: dict[str, StoreError], status: int, code: str
) -> None:
    tail = Tailrace()
    taken = tail.hub.store.publish

    async def publish(log: str, entries: Sequence[Any], *more: Any) -> Position:
        if log in errors:
            raise errors[log]
        return await taken(log, entries, *more)

    monkeypatch.setattr(tail.hub.store, "publish", publish)
    app = Starlette(routes=Several(tail, WebOptions()).routes)
    body = json.dumps({"events": [{"channel": name, "data": 1} for name in "abc"]}).encode()
    told = await Harness(app).ask("POST", "/events", body=body)
    assert told.status == status, told
    assert ("retry-after" in told.headers) == (status == 503)
    events = json.loads(told.body)["events"]
    assert [each["channel"] for each in events] == ["a", "b", "c"]
    assert events[0]["id"].endswith("-1")
    assert events[1]["error"]["code"] == code
    assert ("id" in events[2]) == ("channel:c" not in errors)
