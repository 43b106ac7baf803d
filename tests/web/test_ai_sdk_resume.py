"""A chat's answer on a page that was reloaded, on another one, and on another instance; and its end by its reader."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tailrace.runs.deltas import Thinking
from tests.support.ai_sdk import PARALLEL, Browser, Page, ask, new_chat, user
from tests.support.fleet import Fleet
from tests.support.gateway import KINDS, Gatewayed
from tests.support.identities import Guarded
from tests.support.upstream import Script

every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Node.js with the published packages."""
    with Browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def _running() -> Iterator[Gatewayed]:
    with Gatewayed(open_after=0.5, heartbeat=0.2, grace=20) as running:
        yield running


@pytest.fixture
def gateway(_running: Gatewayed) -> Gatewayed:
    """The gateway, its upstream's scripts begun anew."""
    _running.forget()
    return _running


def open_page(browser: Browser, gateway: Gatewayed, kind: str = "openai", **options: Any) -> Page:
    return browser.open(gateway.server.url, new_chat(), body={"model": kind}, **options)


class TestResume:
    @every_kind
    def test_a_page_that_is_reloaded_in_the_middle_has_the_exact_answer(
        self, browser: Browser, gateway: Gatewayed, kind: str
    ) -> None:
        gateway.up.default = Script(pieces=(Thinking("hm"), "One ", "two ", "three"), fault="stall", after=2)
        page = open_page(browser, gateway, kind)
        page.begin("send", {"text": "Count"})
        seen = page.reads("One ")
        page = page.reload([user("Count")])
        view = page.reads("One ")
        assert (view.last["id"], view.status) == (seen.last["id"], "streaming")
        gateway.up.resume()
        view = page.rests()
        assert (view.thinking, view.text, view.status) == ("hm", "One two three", "ready")
        assert (len(view.messages), len(gateway.seen)) == (2, 1)
        view = page.do("resume")  # there is nothing more to come
        assert (view.status, view.text) == ("ready", "One two three")

    def test_a_page_that_kept_half_of_the_answer_does_not_show_it_twice(
        self, browser: Browser, gateway: Gatewayed
    ) -> None:
        gateway.up.default = Script(pieces=("One ", "two"), fault="stall", after=1)
        page = open_page(browser, gateway)
        page.begin("send", {"text": "Count"})
        page = page.reload(page.reads("One ").messages)
        page.reads("One ")
        gateway.up.resume()
        page.reads("two")
        view = page.rests()
        assert (view.text, len(view.messages)) == ("One two", 2)

    def test_an_answer_that_ends_while_the_page_is_away_is_there_for_who_asks_for_it(
        self, browser: Browser, gateway: Gatewayed
    ) -> None:
        gateway.up.default = Script(pieces=("One ", "two"))
        page = open_page(browser, gateway)
        page.send("Count")
        assert len(page.reload([user("Count")]).rests().messages) == 1
        page = page.reload([user("Count")], ended=True)
        page.reads("two")
        view = page.rests()
        assert (view.text, view.status, len(gateway.seen)) == ("One two", "ready", 1)

    def test_two_pages_of_one_chat_both_have_all_of_it(self, browser: Browser, gateway: Gatewayed) -> None:
        gateway.up.default = Script(pieces=("One ", "two"), fault="stall", after=1)
        page = open_page(browser, gateway)
        page.begin("send", {"text": "Count"})
        page.reads("One ")
        other = browser.open(gateway.server.url, page.options["id"], messages=[user("Count")], resume=True)
        other.reads("One ")
        gateway.up.resume()
        page.reads("two")
        other.reads("two")
        assert (page.rests().text, other.rests().text, len(gateway.seen)) == ("One two", "One two", 1)

    def test_what_tools_gave_before_is_there_after_a_reload_and_they_are_not_run_again(
        self, browser: Browser, gateway: Gatewayed
    ) -> None:
        second = Script(pieces=("It is ", "cold."), fault="stall", after=1)
        gateway.up.script(Script(pieces=("Well. ", *PARALLEL), finish="tool_calls"), second)
        page = open_page(browser, gateway, outputs={"look": {"degrees": 12}, "find": "nothing"})
        page.begin("send", {"text": "Cold?"})
        before = page.reads("It is ")
        page = page.reload([user("Cold?")])
        page.reads("It is ")
        gateway.up.resume()
        page.reads("cold.")
        view = page.rests()
        assert view.ran == []
        assert view.parts()[:-1] == [_settled(part) for part in before.parts()[:-1]]
        assert view.parts()[-1]["text"] == "It is cold."
        assert (view.last["id"], len(gateway.seen)) == (before.last["id"], 2)

    def test_the_newest_answer_is_the_chats(self, browser: Browser, gateway: Gatewayed) -> None:
        gateway.up.default = Script(pieces=("Old ", "news"), fault="stall", after=1)
        page = open_page(browser, gateway)
        page.begin("send", {"text": "First"})
        page.reads("Old ")
        gateway.up.default = Script(pieces=("New ", "words"), fault="stall", after=1)
        other = browser.open(gateway.server.url, page.options["id"], body={"model": "openai"})
        other.begin("send", {"text": "Second"})
        other.reads("New ")
        third = browser.open(gateway.server.url, page.options["id"], resume=True)
        third.reads("New ")
        gateway.up.resume()
        third.reads("words")
        assert third.rests().text == "New words"

    def test_a_chat_without_an_answer_in_progress_is_204(self, gateway: Gatewayed) -> None:
        path = f"/api/ai-sdk/chat/{uuid.uuid4()}"
        assert gateway.server.ask("GET", f"{path}/stream").status == 204
        assert gateway.server.ask("POST", f"{path}/stop").status == 204

    def test_a_key_leads_to_the_answer_that_it_has_started(self, gateway: Gatewayed) -> None:
        body = {"id": new_chat(), "messages": [user("Hi")], "model": "openai"}
        first, second = (ask(gateway.server, body, {"idempotency-key": "k1"}) for _ in range(2))
        assert (first.status, first.body, len(gateway.seen)) == (200, second.body, 1)


class TestStop:
    def test_stopping_leaves_what_was_said_and_the_run_can_be_cancelled_by_its_chat(
        self, browser: Browser, gateway: Gatewayed
    ) -> None:
        gateway.up.default = Script(pieces=("One ", "two"), fault="stall", after=1)
        page = open_page(browser, gateway)
        page.begin("send", {"text": "Count"})
        page.reads("One ")
        other = browser.open(gateway.server.url, page.options["id"], messages=[user("Count")], resume=True)
        other.reads("One ")
        view = page.do("stop")
        assert (view.status, view.text, view.finished[0]["isAbort"]) == ("ready", "One ", True)
        path = f"/api/ai-sdk/chat/{page.options['id'].replace('/', '%2F')}/stop"
        for _ in range(2):
            assert gateway.server.ask("POST", path).json()["status"] == "cancelled"
        gateway.up.wait_for(lambda _: gateway.seen[0].aborted_at is not None)
        view = other.rests()
        assert (view.status, view.text, view.error) == ("ready", "One ", None)

    def test_a_page_that_stops_and_is_alone_has_its_answer_cancelled_after_the_grace(self, browser: Browser) -> None:
        with Gatewayed(grace=0.1) as gateway:
            gateway.up.default = Script(pieces=("One ", "two"), fault="stall", after=1)
            page = open_page(browser, gateway)
            page.begin("send", {"text": "Count"})
            page.reads("One ")
            page.do("stop")
            gateway.up.wait_for(lambda seen: seen[0].aborted_at is not None)


@pytest.mark.parametrize("version", ["5", "6"])
def test_older_versions_show_the_same(gateway: Gatewayed, version: str) -> None:
    gateway.up.script(Script(pieces=(Thinking("hm"), *PARALLEL), finish="tool_calls"))
    gateway.up.default = Script(pieces=("It is ", "cold."), fault="stall", after=1)
    with Browser(version) as browser:
        page = open_page(browser, gateway, outputs={"look": {"degrees": 12}, "find": "nothing"})
        page.begin("send", {"text": "Cold?"})
        page.reads("It is ")
        page = page.reload([user("Cold?")])
        page.reads("It is ")
        gateway.up.resume()
        page.reads("cold.")
        view = page.rests()
        assert [part.get("output") for part in view.parts("tool-look", "tool-find")] == [{"degrees": 12}, "nothing"]
        assert (view.thinking, view.text, view.ran, len(view.messages)) == ("hm", "It is cold.", [], 2)
        gateway.up.default = Script(fault="cut", after=1)
        assert page.send("Sure?").status == "error"


def test_an_answer_is_resumed_and_stopped_on_another_instance(browser: Browser) -> None:
    with Fleet() as fleet:
        a, b = fleet.instances
        fleet.up.default = Script(pieces=("One ", "two ", "three"), fault="stall", after=1)
        page = browser.open(a.url, new_chat())
        page.begin("send", {"text": "Count"})
        page.reads("One ")
        other = browser.open(b.url, page.options["id"], messages=[user("Count")], resume=True)
        other.reads("One ")
        fleet.up.resume()
        page.reads("three")
        other.reads("three")
        assert (page.rests().text, other.rests().text) == ("One two three", "One two three")
        path = f"/api/ai-sdk/chat/{page.options['id'].replace('/', '%2F')}"
        assert [each.ask("GET", f"{path}/stream").status for each in (a, b)] == [204, 204]
        fleet.up.default = Script(pieces=("Four ", "five"), delay=0.5)
        page.begin("send", {"text": "Again"})
        page.reads("Four ")
        assert b.ask("POST", f"{path}/stop").json()["status"] == "cancelled"
        assert page.rests().status == "ready"


class TestWhoseChatItIs:
    def test_a_chat_is_its_callers_alone_whatever_ids_others_know(self, browser: Browser) -> None:
        with Guarded() as guarded:
            page = browser.open(guarded.server.url, "main", headers=guarded.key("web"), body={"model": "demo"})
            page.begin("send", {"text": "Write a long essay"})
            run = page.reads("msg_").last["id"].removeprefix("msg_")
            path = "/api/ai-sdk/chat/main"
            for who in (guarded.key("other"), guarded.key("boss")):
                assert guarded.ask("GET", f"{path}/stream", who).status == 204
                assert guarded.ask("POST", f"{path}/stop", who).status == 204
            theirs = {"id": "main", "messages": [user("Hi")], "max_tokens": 1}
            assert guarded.ask("POST", "/api/ai-sdk/chat", guarded.key("other"), theirs).status == 200
            nobody = guarded.ask("GET", f"{path}/stream")
            assert (nobody.status, nobody.headers["content-type"]) == (401, "text/plain; charset=utf-8")
            assert guarded.ask("POST", f"{path}/stop", guarded.key("web")).json() == {"run": run, "status": "cancelled"}
            assert page.rests().status == "ready"

    def test_whoever_may_not_ask_is_told_why(self, browser: Browser) -> None:
        with Guarded() as guarded:
            page = browser.open(guarded.server.url, "main", headers=guarded.key("reader"))
            assert "scope chat" in (page.send("Hi").error or "")


def _settled(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if value is not None}
