"""Files that the settings name are followed into channels by the real server."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.hosted import until
from tests.support.redis import RedisServer
from tests.support.server import Server

SETTINGS = """
[store]
url = "{store}"
[channels]
history_events = 100000
history_bytes = 100000000
[sources.app]
file = "{file}"
channel = "logs"
event = "line"
from = "start"
"""


def add(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def server(path: Path, store: str = "memory://", *arguments: str) -> Server:
    return Server(SETTINGS.format(store=store, file=path), arguments=arguments)


def lines_of(running: Server) -> list[str]:
    got: list[str] = []
    cursor = ""
    while True:
        answer: dict[str, Any] = running.ask(
            "GET", f"/events/logs?last_event_id={cursor}", {"accept": "application/json"}
        ).json()
        assert {event["event"] for event in answer["events"]} <= {"line"}
        got += [event["data"] for event in answer["events"]]
        if not answer["events"]:
            return got
        cursor = answer["id"]


def has(running: Server, expected: list[str]) -> None:
    until(lambda: len(lines_of(running)) >= len(expected), 20)
    assert lines_of(running) == expected


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


def test_lines_are_events_as_they_come_over_rotations(path: Path) -> None:
    add(path, "1", "2")
    with server(path) as running:
        has(running, ["1", "2"])
        with running.open("GET", "/events/logs") as raw:
            raw.event()
            add(path, "3")
            event = raw.event()
            assert (event.event, event.data) == ("line", "3")
        path.rename(path.with_suffix(".1"))
        add(path, "four")
        has(running, ["1", "2", "3", "four"])
        path.write_bytes(b"\xff\n")
        has(running, ["1", "2", "3", "four", "\ufffd"])


def test_many_lines_come_in_order_and_once(path: Path) -> None:
    expected = [f"line {number} of many" for number in range(20_000)]
    add(path, *expected)
    with server(path) as running:
        has(running, expected)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_next_start_goes_on_where_the_last_one_was(path: Path, tmp_path: Path, how: signal.Signals) -> None:
    store = f"sqlite:///{tmp_path}/events.db"
    add(path, "1", "2")
    with server(path, store) as running:
        has(running, ["1", "2"])
        running.signal(how)
        running.wait(20)
    add(path, "3")
    with server(path, store) as running:
        has(running, ["1", "2", "3"])


def test_of_all_workers_and_instances_on_a_machine_one_follows_and_another_takes_over(path: Path) -> None:
    with RedisServer() as redis, ExitStack() as stack:
        one, two = [stack.enter_context(server(path, redis.url, "--workers", "2")) for _ in range(2)]
        add(path, "1", "2")
        has(one, ["1", "2"])
        one.signal(signal.SIGTERM)
        assert one.wait(30) == 0
        add(path, "3")
        has(two, ["1", "2", "3"])


def test_a_file_that_cannot_be_read_is_told_once(path: Path) -> None:
    path.mkdir()
    with server(path) as running:
        until(lambda: "source app cannot read" in running.said)
        add_later = path.with_suffix(".new")
        add(add_later, "1")
        path.rmdir()
        add_later.rename(path)
        has(running, ["1"])
        assert running.said.count("cannot read") == 1
    assert "Traceback" not in running.said
