"""Responses that are fetched later: looked at, resumed, cancelled, found by whichever id the client has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.support.gateway import Gatewayed
from tests.support.upstream import Script

KINDS = ("openai-responses", "openai", "anthropic")


@pytest.fixture(scope="module")
def _running() -> Iterator[Gatewayed]:
    with Gatewayed() as running:
        yield running


@pytest.fixture
def gateway(_running: Gatewayed) -> Iterator[Gatewayed]:
    """The gateway, its upstream's scripts begun anew; after the test it must still be well."""
    _running.forget()
    yield _running
    assert "Traceback" not in _running.server.said


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_broke_goes_on_after_any_of_its_events(gateway: Gatewayed, kind: str) -> None:
    client = gateway.sdks.openai.responses
    events = list(client.create(model=kind, input="Hi", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    response = events[0].response  # type: ignore[union-attr]
    for after in (0, 3, len(events) - 2):
        resumed = list(client.retrieve(response.id, stream=True, starting_after=after))
        assert resumed == events[after + 1 :]
    assert list(client.retrieve(response.id, stream=True)) == events
    assert len(gateway.seen) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_response_is_kept_as_it_ended(gateway: Gatewayed, kind: str) -> None:
    client = gateway.sdks.openai.responses
    said = client.create(model=kind, input="Hi")
    kept = client.retrieve(said.id)
    assert kept == said
    assert (kept.output_text, kept.status) == ("Hello, world!", "completed")
    assert client.cancel(said.id) == said


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_comes_all_at_once_is_found_by_its_upstreams_id(gateway: Gatewayed, stream: bool) -> None:
    gateway.up.default = Script(pieces=("x",) * 500, chunking="whole")  # more than is held in memory for readers
    client = gateway.sdks.openai.responses
    for _ in range(5):
        said: Any = client.create(model="openai-responses", input="Hi", stream=stream)
        if stream:
            *_, last = said
            said = last.response
        assert said.id.startswith("resp_upstream")
        assert client.retrieve(said.id).output_text == "x" * 500


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_in_the_background_goes_on_without_anybody(gateway: Gatewayed, kind: str) -> None:
    gateway.up.default = Script(fault="stall", after=2)
    client = gateway.sdks.openai.responses
    begun = client.create(model=kind, input="Hi", background=True)
    assert (begun.status, begun.background, begun.output) == ("in_progress", True, [])
    assert client.retrieve(begun.id).status == "in_progress"
    gateway.up.wait_for(lambda _: gateway.seen and gateway.seen[0].streaming_at is not None)
    assert "background" not in gateway.seen[0].body
    with client.retrieve(begun.id, stream=True) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                break
    gateway.up.resume()
    assert list(client.retrieve(begun.id, stream=True))[-1].type == "response.completed"
    ended = client.retrieve(begun.id)
    assert (ended.status, ended.id, ended.output_text) == ("completed", begun.id, "Hello, world!")


def test_an_answer_in_the_background_outlives_the_grace_of_others(gateway: Gatewayed) -> None:
    gateway.up.default = Script(delay=0.25)  # nearly two seconds, where the grace is 0.2 and a first viewer has one
    client = gateway.sdks.openai.responses
    begun = client.create(model="openai", input="Hi", background=True)
    gateway.up.wait_for(lambda _: gateway.seen and (gateway.seen[0].finished_at or gateway.seen[0].aborted_at))
    assert gateway.seen[0].aborted_at is None
    assert list(client.retrieve(begun.id, stream=True))[-1].type == "response.completed"


@pytest.mark.parametrize("kind", KINDS)
def test_a_response_is_cancelled_with_what_it_had_said(gateway: Gatewayed, kind: str) -> None:
    gateway.up.default = Script(fault="stall", after=2)
    client = gateway.sdks.openai.responses
    with client.create(model=kind, input="Hi", background=True, stream=True) as stream:
        names = iter(stream)
        response = next(names).response  # type: ignore[union-attr]
        next(event for event in names if event.type == "response.output_text.delta")
        assert client.cancel(response.id).status == "cancelled"
        with pytest.raises(openai.APIError, match="cancelled"):
            list(names)
    assert client.retrieve(response.id).status == "cancelled"
    gateway.up.wait_for(lambda _: gateway.seen[0].aborted_at is not None)


def test_a_failed_response_says_so(gateway: Gatewayed) -> None:
    gateway.up.default = Script(fault="reset", after=2)
    for kind in KINDS:
        client = gateway.sdks.openai.responses
        begun = client.create(model=kind, input="Hi", background=True)
        with pytest.raises(openai.APIError):
            list(client.retrieve(begun.id, stream=True))
        failed = client.retrieve(begun.id)
        assert (failed.status, failed.error and failed.error.code) == ("failed", "server_error")


@pytest.mark.parametrize("name", ["resp_nobody", "nobody", "x" * 300, "%20", "resp_"])
def test_a_response_that_is_not_there_is_not_found(gateway: Gatewayed, name: str) -> None:
    for method, path in (("GET", f"/v1/responses/{name}"), ("POST", f"/v1/responses/{name}/cancel")):
        answer = gateway.server.ask(method, path)
        assert answer.status == 404
        assert answer.json()["error"]["code"] == "not_found"


def test_what_was_not_asked_for_as_a_response_is_none(gateway: Gatewayed) -> None:
    runs = [
        gateway.server.ask("POST", "/api/chat", {}, {"message": "Hi", "model": "openai"}).headers["tailrace-run"],
        gateway.ask("openai-chat", "openai").headers["tailrace-run"],
    ]
    for run in runs:
        assert gateway.server.ask("GET", f"/v1/responses/resp_{run}").status == 404


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "9" * 30])
def test_a_place_that_is_none_is_refused(gateway: Gatewayed, after: str) -> None:
    name = gateway.sdks.openai.responses.create(model="openai", input="Hi").id
    answer = gateway.server.ask("GET", f"/v1/responses/{name}?stream=true&starting_after={after}")
    assert answer.status == 400
    assert "starting_after" in json.loads(answer.body)["error"]["message"]


def test_cancelling_is_refused_to_pages_of_other_sites(gateway: Gatewayed) -> None:
    name = gateway.sdks.openai.responses.create(model="openai", input="Hi").id
    answer = gateway.server.ask("POST", f"/v1/responses/{name}/cancel", {"origin": "https://evil.example"})
    assert answer.status == 403
