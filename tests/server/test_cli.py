"""The command `tailrace`: what it prints where, and how it exits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tailrace.client import Client
from tailrace.server import cli
from tailrace.server.commands import serve, target
from tailrace.server.settings import Settings
from tests.support.scripted import Reply, ScriptedServer, problem, refused_url, stream

READY = b'id: e-0\nevent: ready\ndata: {"channels":["news"]}\n\n'
START = b'retry: 20\nid: r1-0\nevent: start\ndata: {"run":"r1","model":"m"}\n\n'
DONE = b"id: r1-9\nevent: done\ndata: [DONE]\n\n"
PUBLISHED = Reply(200, {}, b'{"channel":"news","id":"e-1"}')


def text(number: int, piece: str) -> bytes:
    return f"id: r1-{number}\ndata: {json.dumps({'text': piece})}\n\n".encode()


class Command:
    """Runs `tailrace` in this process, without waiting between attempts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.setattr(target, "Client", partial(Client, sleep=lambda _: None))

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["tailrace", *arguments])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        out, err = self._capsys.readouterr()
        assert isinstance(exit_.value.code, int)
        return exit_.value.code, out, err


@pytest.fixture
def tailrace(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Return the command, started in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAILRACE_URL", raising=False)
    return Command(monkeypatch, capsys)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Return the calls of the server's lifecycle, which is not started."""
    calls: list[tuple[Any, ...]] = []

    def record(*arguments: Any) -> int:
        calls.append(arguments)
        return 0

    lifecycle: Any = ModuleType("tailrace.server.lifecycle")
    lifecycle.serve = lifecycle.run = record
    monkeypatch.setitem(sys.modules, "tailrace.server.lifecycle", lifecycle)
    monkeypatch.setattr(serve, "configure", lambda *_: None)  # logging is the tests' own
    return calls


@pytest.fixture
def spawned() -> Iterator[list[subprocess.Popen[str]]]:
    """Collect processes and end them with the test."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def spawn(processes: list[subprocess.Popen[str]], *arguments: str, stdin: Any = None) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "tailrace", *arguments]
    process = subprocess.Popen(
        command, stdin=stdin or pipe, stdout=pipe, stderr=pipe, text=True, env=os.environ | {"LANG": "C"}
    )
    processes.append(process)
    return process


class TestUsage:
    def test_without_a_command_it_shows_them_all(self, tailrace: Command) -> None:
        code, out, err = tailrace()
        assert (code, out) == (2, "")
        for name in ("serve", "run", "chat", "tail", "publish"):
            assert f"  {name} " in err

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["foo"], "No such command 'foo'."),
            (["chat"], "Missing argument 'MESSAGE'."),
            (["chat", "hi", "--url", "foo"], "Invalid value for '--url': expected a URL such as"),
            (["run", "app"], "Invalid value for 'MODULE:APP': expected MODULE:APP, such as main:app, got 'app'"),
            (["serve", "--workers", "2"], "2 workers need a store that they share; memory:// belongs to one process"),
            (["serve", "--workers", "0"], "Invalid value for '--workers'"),
        ],
    )
    def test_wrong_usage_is_two_lines_and_exit_code_2(self, tailrace: Command, arguments: list[str], told: str) -> None:
        code, out, err = tailrace(*arguments)
        assert (code, out) == (2, "")
        assert told in err
        assert len(err.splitlines()) == 2

    def test_wrong_settings_are_one_line_and_exit_code_2(self, tailrace: Command, tmp_path: Path) -> None:
        (tmp_path / "tailrace.toml").write_text("[server]\nprot = 1")
        expected = "tailrace: tailrace.toml: [server]: unknown key 'prot' (did you mean 'port'?)\n"
        assert tailrace("serve") == (2, "", expected)
        assert tailrace("run", "main:app") == (2, "", expected)

    def test_without_the_extra_it_says_which(self, tailrace: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "click", None)
        code, _, err = tailrace("serve")
        assert (code, err) == (
            1,
            "tailrace: the command 'tailrace' needs the extra 'server': pip install 'tailrace[server]'\n",
        )

    def test_the_version_is_the_packages(self, tailrace: Command) -> None:
        code, out, _ = tailrace("--version")
        assert (code, out.startswith("tailrace, version ")) == (0, True)


class TestServing:
    def test_serve_hands_the_settings_to_the_server(self, tailrace: Command, started: list[tuple[Any, ...]]) -> None:
        code, _, err = tailrace("serve", "--host", "::1", "--port", "0")
        assert code == 0
        settings = started[0][0]
        assert isinstance(settings, Settings)
        assert (settings.server.host, settings.server.port) == ("::1", 0)
        assert "default model: demo/demo" in err

    def test_serve_reads_the_file_that_it_is_given(
        self, tailrace: Command, started: list[tuple[Any, ...]], tmp_path: Path
    ) -> None:
        (tmp_path / "mine.toml").write_text("[server]\nport = 81")
        tailrace("serve", "--config", "mine.toml")
        assert started[0][0].server.port == 81

    def test_run_names_the_application_and_makes_it_importable(
        self, tailrace: Command, started: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(sys, "path", list(sys.path))
        assert tailrace("run", "main:app", "--port", "1")[0] == 0
        assert (started[0][0], started[0][1].server.port) == ("main:app", 1)
        assert sys.path[0] == str(tmp_path)


class TestChat:
    def test_the_answer_is_on_stdout_and_all_else_on_stderr(self, tailrace: Command) -> None:
        thought = b'id: r1-1\nevent: thinking\ndata: {"text":"hm"}\n\n'
        finish = b'id: r1-8\nevent: finish\ndata: {"finish_reason":"length"}\n\n'
        first = stream(START, thought, text(2, "Hel"), then="cut")
        resumed = b'event: resume\ndata: {"recovered":true,"reason":"ok","missed":0}\n\n'
        with ScriptedServer(first, stream(resumed, text(3, "lo"), finish, DONE)) as server:
            code, out, err = tailrace("chat", "hi", "--model", "m", "--url", server.url)
        assert (code, out) == (0, "Hello\n")
        assert err.startswith("hm\nthe connection broke; reconnecting in 0.0 s\n")
        assert err.endswith("connected again\nresumed, nothing missed\nthe model ended by: length\n")
        assert json.loads(server.seen[0].body) == {"message": "hi", "model": "m"}

    def test_a_failed_run_is_exit_code_1_after_what_was_said(self, tailrace: Command) -> None:
        failure = b'id: r1-8\nevent: error\ndata: {"error":{"type":"provider_overloaded","message":"Overloaded"}}\n\n'
        with ScriptedServer(stream(START, text(1, "Hel"), failure, DONE)) as server:
            code, out, err = tailrace("chat", "hi", "--url", server.url)
        assert (code, out, err) == (1, "Hel\n", "tailrace: provider_overloaded: Overloaded\n")

    def test_a_refused_question_is_exit_code_1(self, tailrace: Command) -> None:
        with ScriptedServer(problem(404, "unknown_model", "no model 'x'")) as server:
            outcome = tailrace("chat", "hi", "--url", server.url)
        assert outcome == (1, "", "tailrace: the server refused: 404 unknown_model: no model 'x'\n")

    def test_no_server_is_exit_code_1(self, tailrace: Command) -> None:
        url = refused_url()
        code, out, err = tailrace("chat", "hi", "--url", url)
        assert (code, out) == (1, "")
        assert err.splitlines()[-1].startswith(f"tailrace: {url} cannot be reached")

    def test_a_reader_that_leaves_cancels_the_run(self, spawned: list[subprocess.Popen[str]]) -> None:
        with ScriptedServer(stream(START, text(1, "Hel"), then="hold"), Reply(200, {}, b"{}")) as server:
            process = spawn(spawned, "chat", "hi", "--url", server.url)
            assert process.stdout is not None
            process.stdout.close()
            process.stdout = None
            _, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, "")
        assert [seen.method for seen in server.seen] == ["POST", "DELETE"]

    def test_ctrl_c_cancels_the_run(self, spawned: list[subprocess.Popen[str]]) -> None:
        with ScriptedServer(stream(START, text(1, "Hel"), then="hold"), Reply(200, {}, b"{}")) as server:
            process = spawn(spawned, "chat", "hi", "--url", server.url)
            assert process.stdout is not None
            assert process.stdout.read(3) == "Hel"
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "Traceback" not in err
        assert [(seen.method, seen.target) for seen in server.seen][1:] == [("DELETE", "/api/chat/r1")]


class TestTail:
    def test_an_event_is_a_line(self, tailrace: Command) -> None:
        with ScriptedServer(
            stream(READY, b"id: e-1\ndata: a\n\n", b"id: e-2\ndata: b\ndata: c\n\n"), Reply(204)
        ) as server:
            assert tailrace("tail", "news", "--url", server.url)[:2] == (0, "a\nb\\nc\n")

    def test_whole_events_are_json_lines(self, tailrace: Command) -> None:
        with ScriptedServer(stream("id: e-1\nevent: tick\ndata: é\ndata: b\n\n".encode()), Reply(204)) as server:
            _, out, _ = tailrace("tail", "news", "--json", "--url", server.url)
        assert out == '{"event": "tick", "data": "é\\nb", "id": "e-1"}\n'

    def test_what_was_missed_is_told_on_stderr(self, tailrace: Command) -> None:
        gap = b'id: e-3\nevent: gap\ndata: {"missed":1,"reason":"trimmed"}\n\n'
        with ScriptedServer(stream(gap), Reply(204)) as server:
            code, out, err = tailrace("tail", "news", "--url", server.url)
        assert (code, out) == (0, "")
        assert err.startswith("missed 1 event (they are older than what the channel keeps)\n")

    def test_a_url_stands_for_itself_and_the_environment_names_the_server(
        self, tailrace: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with ScriptedServer(Reply(204), Reply(204)) as server:
            tailrace("tail", f"{server.url}/prices?x=1")
            monkeypatch.setenv("TAILRACE_URL", server.url)
            tailrace("tail", "news", "--from-earliest")
        assert [seen.target for seen in server.seen] == ["/prices?x=1", "/events/news?from=earliest"]

    def test_ctrl_c_is_its_end(self, spawned: list[subprocess.Popen[str]]) -> None:
        with ScriptedServer(stream(b"id: e-1\ndata: a\n\n", then="hold")) as server:
            process = spawn(spawned, "tail", "news", "--url", server.url)
            assert process.stdout is not None
            assert process.stdout.readline() == "a\n"
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, "")

    def test_a_reader_that_has_enough_ends_it_quietly(self, spawned: list[subprocess.Popen[str]]) -> None:
        with ScriptedServer(stream(*[b"data: %d\n\n" % number for number in range(3)], then="hold")) as server:
            process = spawn(spawned, "tail", "news", "--url", server.url)
            assert process.stdout is not None
            process.stdout.close()
            process.stdout = None
            _, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, "")


class TestTerminal:
    def test_control_characters_of_others_never_reach_a_terminal(
        self, tailrace: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with ScriptedServer(stream("data: a\x1b[2J\tb\x9b\n\n".encode()), Reply(204)) as server:
            monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
            assert tailrace("tail", "news", "--url", server.url)[1] == "a\ufffd[2J\tb\ufffd\n"

    def test_what_goes_into_a_pipe_is_left_as_it_is(self, tailrace: Command) -> None:
        with ScriptedServer(stream(b"data: a\x1b[2J\n\n"), Reply(204)) as server:
            assert tailrace("tail", "news", "--url", server.url)[1] == "a\x1b[2J\n"

    def test_text_that_has_no_utf8_is_shown_as_well_as_it_can_be(self, tailrace: Command) -> None:
        half = b'id: r1-1\ndata: {"text":"a\\ud83d"}\n\n'
        with ScriptedServer(stream(START, half, DONE)) as server:
            assert tailrace("chat", "hi", "--url", server.url)[:2] == (0, "a?\n")

    @pytest.mark.parametrize(("no_color", "dim"), [("", True), ("1", False)])
    def test_remarks_are_dim_on_a_terminal_that_wants_colours(
        self, tailrace: Command, monkeypatch: pytest.MonkeyPatch, no_color: str, dim: bool
    ) -> None:
        monkeypatch.setenv("NO_COLOR", no_color)
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        with ScriptedServer(stream(b"data: a\n\n"), Reply(204)) as server:
            _, _, err = tailrace("tail", "news", "--url", server.url)
        assert err.startswith("\x1b[2m") is dim


def several(count: int) -> Reply:
    ids = [{"channel": "logs", "id": f"e-{number}"} for number in range(count)]
    return Reply(200, {"content-type": "application/json"}, json.dumps({"events": ids}).encode())


class TestPublish:
    def test_one_event_is_published_and_its_id_printed(self, tailrace: Command) -> None:
        with ScriptedServer(PUBLISHED) as server:
            assert tailrace("publish", "news", '{"a":1}', "--event", "tick", "--url", server.url) == (0, "e-1\n", "")
        body = json.loads(server.seen[0].body)
        assert (body["data"], body["event"]) == ('{"a":1}', "tick")

    def test_each_line_of_stdin_is_an_event_in_order_and_once(self, spawned: list[subprocess.Popen[str]]) -> None:
        away = problem(503, "unavailable", retry_after="0")
        replies = (PUBLISHED, away, Reply(0, then="reset"), several(2))
        with ScriptedServer(*replies) as server:
            process = spawn(spawned, "publish", "logs", "-", "--event", "line", "--url", server.url)
            assert process.stdin is not None
            process.stdin.write("one\n")
            process.stdin.flush()
            server.wait_for(1)  # a line is published when it is there, not when the input ends
            out, err = process.communicate("two\n\n", timeout=20)
        first, *rest = [json.loads(seen.body) for seen in server.seen]
        assert (server.seen[0].target, first["data"], first["event"]) == ("/events/logs", "one", "line")
        assert [seen.target for seen in server.seen[1:]] == ["/events"] * 3
        assert rest[0] == rest[1] == rest[2]
        assert rest[0]["events"] == [{"channel": "logs", "data": data, "event": "line"} for data in ("two", "")]
        assert rest[0]["idempotency_key"] != first["idempotency_key"]
        assert (process.returncode, out) == (0, "")
        assert "503 unavailable" in err

    def test_a_line_that_is_too_large_is_skipped_and_told(self, spawned: list[subprocess.Popen[str]]) -> None:
        too_large = problem(413, "too_large")
        with ScriptedServer(too_large, PUBLISHED, too_large, PUBLISHED) as server:
            process = spawn(spawned, "publish", "logs", "-", "--url", server.url)
            _, err = process.communicate("one\ntwo\nthree", timeout=20)
        assert (process.returncode, err) == (1, "line 2 is larger than the server takes: skipped\n")
        assert [json.loads(seen.body).get("data") for seen in server.seen] == [None, "one", "two", "three"]

    def test_an_application_that_takes_events_elsewhere_is_given_them_one_by_one(
        self, spawned: list[subprocess.Popen[str]]
    ) -> None:
        with ScriptedServer(PUBLISHED, PUBLISHED) as server:
            process = spawn(spawned, "publish", "/prices", "-", "--url", server.url)
            process.communicate("one\ntwo\n", timeout=20)
        assert [(seen.target, json.loads(seen.body)["data"]) for seen in server.seen] == [
            ("/prices", "one"),
            ("/prices", "two"),
        ]

    def test_many_lines_are_few_calls_and_bytes_that_are_no_text_do_not_stop_it(
        self, spawned: list[subprocess.Popen[str]], tmp_path: Path
    ) -> None:
        (tmp_path / "in").write_bytes(b"\xff\r\n" + b"".join(b"%d\n" % number for number in range(2999)))
        replies: list[Any] = [lambda seen: several(len(json.loads(seen.body)["events"]))] * 20
        with ScriptedServer(*replies) as server, (tmp_path / "in").open() as lines:
            process = spawn(spawned, "publish", "logs", "-", "--url", server.url, stdin=lines)
            assert process.wait(20) == 0
        said = [event["data"] for seen in server.seen for event in json.loads(seen.body)["events"]]
        assert said == ["\ufffd", *map(str, range(2999))]
        assert len(server.seen) < 10
