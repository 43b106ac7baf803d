"""The JavaScript client as it is published: its own tests, its size, and the real server behind it."""

from __future__ import annotations

import gzip
import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sse.wire_cases import CASES
from tests.support.javascript import CLIENT, NODE, Script, built, environment
from tests.support.server import ROOT, Server

HERE = Path(__file__).parent
SHARED: dict[str, Any] = json.loads((ROOT / "tests" / "client" / "cases.json").read_text())


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    built()


def bundled(entry: str, *options: str) -> int:
    """The bytes of an entry as a page gets it: bundled, minified, compressed."""
    esbuild = str(CLIENT / "node_modules" / ".bin" / "esbuild")
    command = [esbuild, "--bundle", "--minify", "--format=esm", "--target=es2022", *options]
    done = subprocess.run(command, cwd=CLIENT, input=f"export {entry}", capture_output=True, text=True, check=True)
    return len(gzip.compress(done.stdout.encode(), 9))


@pytest.mark.parametrize("name", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_the_clients_own_tests_pass(name: str) -> None:
    command = [NODE, "--test", str(HERE / name)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=100, check=False)
    assert done.returncode == 0, done.stdout[-10_000:]


def test_the_shared_table_has_the_parser_cases_that_the_decoder_has() -> None:
    assert [each["name"] for each in SHARED["parsing"]] == [case.name for case in CASES]
    for case, each in zip(CASES, SHARED["parsing"], strict=True):
        assert [[name, data, id_] for data, name, id_ in case.events] == each["events"]
        assert (case.last_event_id, case.retry) == (each["last_event_id"], each["retry"])


def test_it_is_small() -> None:
    own = ("--external:eventsource-parser",)
    assert bundled('* from "./dist/index.js"', *own) < 6000
    # What a page takes of it, with the parser.
    assert bundled('{ subscribe } from "./dist/index.js"') < 6144
    assert bundled('{ chat } from "./dist/index.js"') < 6144


def test_its_one_dependency_is_the_parser_and_its_lock_names_no_registry() -> None:
    package = json.loads((CLIENT / "package.json").read_text())
    assert list(package["dependencies"]) == ["eventsource-parser"]
    # What is left are places to give to their authors.
    assert set(re.findall(r"\w+://([^/]+)/", (CLIENT / "package-lock.json").read_text())) <= {"github.com"}


class TestTheRealServer:
    @pytest.fixture
    def arguments(self, tmp_path: Path) -> list[str]:
        return ["--store", f"sqlite:///{tmp_path}/events.db"]

    def test_an_answer_is_told_in_full(self, arguments: list[str]) -> None:
        with Server(arguments=arguments) as server, ask(server, "Think about rivers", max_tokens=25) as lines:
            *_, last = lines
            state = state_of(server, last["run"])
            assert last["text"] == state["text"]
            assert last["thinking"] == state["thinking"]
            assert (last["finish_reason"], last["error"]) == ("length", None)

    def test_a_server_that_is_killed_in_the_middle_of_an_answer_leaves_its_exact_text_and_its_end(
        self, arguments: list[str]
    ) -> None:
        with Server(arguments=arguments) as first, ask(first, "Write a long essay") as lines:
            seen = iter(lines)
            read_until(seen, {"event": "message"}, times=10)
            first.signal(signal.SIGKILL)
            first.wait()
            with Server(arguments=[*arguments, "--port", str(first.port)]) as second:
                *between, last = seen
                state = state_of(second, last["run"])
        assert {"state": "resumed"} in between
        assert last["error"] == "tailrace_interrupted"
        # What was shown is never contradicted: what had not reached the disk was shown all the same.
        assert last["text"].startswith(state["text"])
        assert last["text"]

    def test_channels_are_followed_over_a_restart_without_loss(self, arguments: list[str]) -> None:
        with (
            Server(arguments=arguments) as first,
            Script("follow.mjs", first.url, "news") as one,
            Script("follow.mjs", first.url, "news", "weather") as both,
        ):
            readers = [iter(one), iter(both)]
            for reader in readers:
                read_until(reader, {"state": "live"})
            for number in range(5):
                first.publish("news", f"event {number}")
            first.publish("weather", {"wind": 3})
            first.signal(signal.SIGKILL)
            first.wait()
            with Server(arguments=[*arguments, "--port", str(first.port)]) as second:
                second.publish("news", "event 5")
                second.publish("news", "end")
                told = [list(reader) for reader in readers]
        expected = [*(f"event {number}" for number in range(6)), "end"]
        for lines in told:
            assert {"state": "resumed"} in lines
            assert not any("gap" in line for line in lines)
        assert [line["data"] for line in told[0] if "data" in line] == expected
        assert [line["data"] for line in told[1] if line.get("channel") == "news"] == expected
        assert [line["data"] for line in told[1] if line.get("channel") == "weather"] == ['{"wind":3}']


def ask(server: Server, message: str, **body: Any) -> Script:
    return Script("ask.mjs", server.url, json.dumps({"message": message, **body}))


def read_until(lines: Iterator[Any], line: dict[str, str], times: int = 1) -> None:
    for _ in range(times):
        assert line in lines


def state_of(server: Server, run: str) -> dict[str, Any]:
    return dict(server.ask("GET", f"/api/chat/{run}", {"Accept": "application/json"}).json())
