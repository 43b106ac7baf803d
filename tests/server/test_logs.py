"""What the real server says of itself on standard error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.server import Server
from tests.support.upstream import Script, Upstream

SETTINGS = """
[chat]
default_model = "up/m"
[providers.up]
kind = "openai"
base_url = "{url}"
api_key = "env:KEY"
"""
KEY = "sk-upstream-secret-0123456789"
CALLERS = "tr_callers-secret-0123456789"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def served(upstream: Upstream, settings: str = "") -> Server:
    return Server(SETTINGS.format(url=f"{upstream.url}/v1") + settings, env={"KEY": KEY})


def lines(server: Server) -> list[dict[str, Any]]:
    """All that was said; each line must be one object."""
    return [json.loads(line) for line in server.said.splitlines()]


def line_of(server: Server, run: str) -> dict[str, Any]:
    """The line of a run's end."""
    server.wait_said(f'"run":"{run}"')
    (line,) = [line for line in lines(server) if line.get("run") == run and "status" in line]
    return line


def test_each_answer_is_one_line_that_says_what_it_took_and_nothing_of_what_was_said(upstream: Upstream) -> None:
    upstream.default = Script(pieces=("CONFIDENTIAL", " REPLY"))
    with served(upstream) as server:
        answer = server.ask("POST", "/api/chat", body={"message": "PRIVATE", "metadata": {"user": "PRIVATE"}})
        line = line_of(server, answer.headers["tailrace-run"])
        assert line["message"].startswith(f"run {line['run']} of up/m: finished after")
        assert (line["level"], line["status"], line["provider"], line["model"]) == ("info", "finished", "up", "m")
        assert line["usage"]["output_tokens"] > 0
        assert line["seconds"] >= line["first_token"] >= 0
        assert [attempt["outcome"] for attempt in line["attempts"]] == ["answered"]
        assert "PRIVATE" not in server.said
        assert "CONFIDENTIAL" not in server.said


def test_no_secret_is_in_any_line_whatever_goes_wrong(upstream: Upstream) -> None:
    with served(upstream, '[telemetry]\nendpoint = "http://127.0.0.1:9"\n') as server:
        body = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}", "type": "x"}}).encode()
        for script in (
            Script(status=401, body=body),
            Script(status=500),
            Script(pieces=("a",), fault="reset", after=1),
        ):
            upstream.default = script
            server.ask("POST", "/api/chat", {"Authorization": f"Bearer {CALLERS}"}, {"message": "Hi"})
            server.ask("POST", "/v1/chat/completions", {"X-API-Key": CALLERS}, {"model": "up/m", "messages": []})
        server.ask("GET", f"/events/a?ticket={CALLERS}", {"Accept": "application/json"})
        server.ask("GET", f"/nowhere?api_key={CALLERS}")
        assert len(lines(server)) > 3
        assert KEY not in server.said
        assert CALLERS not in server.said


def test_prompts_are_logged_where_an_operator_wants_them(upstream: Upstream) -> None:
    upstream.default = Script(pieces=("Hi",))
    with served(upstream, "[log]\nprompts = true\n") as server:
        run = server.ask("POST", "/api/chat", body={"message": "WANTED", "system": "BE BRIEF"}).headers["tailrace-run"]
        server.wait_said("WANTED")
        (asked,) = [line for line in lines(server) if "prompt" in line]
        assert (asked["run"], asked["prompt"]["system"]) == (run, "BE BRIEF")
        assert asked["prompt"]["messages"][0]["content"] == "WANTED"


def test_people_get_text_and_workers_say_who_they_are() -> None:
    with Server('[log]\nformat = "text"\n') as server:
        assert server.said.splitlines()[-1].split(" ", 1)[1].strip().startswith("INFO")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ('[log]\nlevel = "loud"', "[log] level: expected one of debug, info, warning, error; got 'loud'"),
        ("[log]\nformat = 1", "[log] format: expected one of auto, json, text; got 1"),
        ("[log]\nprompt = true", "[log]: unknown key 'prompt' (did you mean 'prompts'?)"),
        ('[telemetry]\nendpoint = "collector:4317"', "endpoint: expected http://host[:port]"),
        ("[telemetry]\nsample = 2", "[telemetry] sample: expected `float` <= 1"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_with_their_place(settings: str, told: str) -> None:
    with pytest.raises(AssertionError, match="does not listen") as failed, Server(settings):
        raise NotImplementedError
    assert told in str(failed.value)
