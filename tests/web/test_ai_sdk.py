"""`useChat` as it is published, against the real server: whichever kind of provider answers, the page has all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tailrace.runs.deltas import Refusal, Thinking, ToolCall
from tests.support.ai_sdk import PARALLEL, Browser, Page, ask, new_chat, user
from tests.support.gateway import KINDS, Gatewayed
from tests.support.upstream import Script

_LONG = "Grüße, 世界! 👩‍🚀 \u2028" * 40

_PIXEL = "data:image/png;base64,iVBORw0KGgo="

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


def heard(gateway: Gatewayed) -> Any:
    """What the provider was asked last."""
    return gateway.seen[-1].body


class TestWhatAPageShows:
    @every_kind
    def test_reasoning_and_text_are_parts_of_one_step(self, browser: Browser, gateway: Gatewayed, kind: str) -> None:
        gateway.up.default = Script(pieces=(Thinking("hm, "), Thinking("so"), _LONG, "!"))
        view = open_page(browser, gateway, kind).send("Hi")
        assert (view.thinking, view.text) == ("hm, so", f"{_LONG}!")
        assert [(part["type"], part.get("state")) for part in view.parts()] == [
            ("step-start", None),
            ("reasoning", "done"),
            ("text", "done"),
        ]
        assert (view.status, view.error) == ("ready", None)
        assert view.finished == [
            {"id": view.last["id"], "isAbort": False, "isDisconnect": False, "isError": False, "finishReason": "stop"}
        ]

    @every_kind
    def test_parallel_tool_calls_are_parts_with_their_input(
        self, browser: Browser, gateway: Gatewayed, kind: str
    ) -> None:
        gateway.up.default = Script(pieces=("Well. ", *PARALLEL), finish="tool_calls")
        view = open_page(browser, gateway, kind).send("Hi")
        calls = view.parts("tool-look", "tool-find")
        assert [(call["toolCallId"], call["state"], call["input"]) for call in calls] == [
            ("call_1", "input-available", {"where": "hüben"}),
            ("call_2", "input-available", {"what": [1, 2.5]}),
        ]
        assert (view.ran, view.text) == (["call_1", "call_2"], "Well. ")
        assert view.finished[0]["finishReason"] == "tool-calls"

    def test_calls_whose_fragments_are_interleaved_are_told_apart(self, browser: Browser, gateway: Gatewayed) -> None:
        gateway.up.default = Script(pieces=tuple(PARALLEL[place] for place in (0, 3, 1, 4, 2)), finish="tool_calls")
        view = open_page(browser, gateway).send("Hi")
        assert [part["input"] for part in view.parts()[1:]] == [{"where": "hüben"}, {"what": [1, 2.5]}]

    def test_a_call_that_is_no_json_is_shown_as_a_failed_one(self, browser: Browser, gateway: Gatewayed) -> None:
        gateway.up.default = Script(pieces=(ToolCall(0, "c", "look", '{"where":'),), finish="tool_calls")
        view = open_page(browser, gateway).send("Hi")
        (call,) = view.parts("tool-look")
        written = call.get("rawInput") or call["input"]  # of version 6, and of 7
        assert (call["state"], written, view.ran) == ("output-error", '{"where":', [])

    def test_a_refusal_is_text_that_was_filtered(self, browser: Browser, gateway: Gatewayed) -> None:
        gateway.up.default = Script(pieces=(Refusal("I "), Refusal("won't.")), finish="refusal")
        view = open_page(browser, gateway, "anthropic").send("Hi")
        assert (view.text, view.finished[0]["finishReason"]) == ("I won't.", "content-filter")


class TestWhenItFails:
    @every_kind
    def test_an_error_in_the_middle_keeps_what_was_said(self, browser: Browser, gateway: Gatewayed, kind: str) -> None:
        gateway.up.default = Script(pieces=("Hel", "lo"), fault="error", after=1, error={"message": "No more today"})
        page = open_page(browser, gateway, kind)
        view = page.send("Hi")
        assert (view.status, view.text) == ("error", "Hel")
        assert "No more today" in (view.error or "")
        gateway.up.default = Script()
        view = page.send("Again?")
        assert (view.status, view.text) == ("ready", "Hello, world!")

    @pytest.mark.parametrize("fault", ["cut", "reset", "eof", "no terminal"])
    def test_an_answer_that_breaks_is_an_error_not_a_short_answer(
        self, browser: Browser, gateway: Gatewayed, fault: Any
    ) -> None:
        gateway.up.default = Script(fault=fault, after=2)
        view = open_page(browser, gateway).send("Hi")
        assert (view.status, view.text[:5]) == ("error", "Hello")
        assert view.error

    def test_a_failure_before_the_answer_has_its_status_and_a_plain_sentence(
        self, browser: Browser, gateway: Gatewayed
    ) -> None:
        gateway.up.default = Script(status=400, body={"error": {"message": "too many words"}})
        page = open_page(browser, gateway)
        view = page.send("Hi")
        assert (view.status, [message["role"] for message in view.messages]) == ("error", ["user"])
        assert "too many words" in (view.error or "")
        assert "{" not in (view.error or "")
        answer = ask(gateway.server, {"messages": [user("Hi")], "model": "openai"})
        assert (answer.status, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")

    def test_a_failed_answer_does_not_stand_in_the_way_of_the_next(self, browser: Browser, gateway: Gatewayed) -> None:
        gateway.up.default = Script(fault="error", first_delay=0.3)  # with another try, longer than the status waits
        page = open_page(browser, gateway)
        view = page.send("Hi")
        assert (view.status, view.parts()) == ("error", [{"type": "step-start"}])
        gateway.up.default = Script()
        assert page.send("And now?").text == "Hello, world!"
        assert page.do("regenerate").text == "Hello, world!"


class TestWhatIsAsked:
    @every_kind
    def test_a_whole_chat_reaches_the_provider_images_included(
        self, browser: Browser, gateway: Gatewayed, kind: str
    ) -> None:
        page = open_page(browser, gateway, kind, messages=[user("Hi"), *_TOOLS])
        view = page.do("send", {"text": "Look", "files": [{"type": "file", "mediaType": "image/png", "url": _PIXEL}]})
        assert view.text == "Hello, world!"
        said = str(heard(gateway))
        for piece in ("iVBORw0KGgo=", "call_9", "12 degrees", "hüben", "Look", "It is 12 degrees"):
            assert said.count(piece) >= 1, piece
        assert "never said" not in said

    def test_what_the_page_adds_to_the_body_is_heeded(self, browser: Browser, gateway: Gatewayed) -> None:
        tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
        body = {"model": "openai", "system": "Be brief", "max_tokens": 7, "temperature": 0.5, "tools": [tool]}
        browser.open(gateway.server.url, new_chat(), body=body).send("Hi")
        asked = heard(gateway)
        assert asked["messages"] == [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}]
        assert (asked["temperature"], asked["tools"]) == (0.5, [tool])
        assert 7 in (asked.get("max_tokens"), asked.get("max_completion_tokens"))

    def test_what_nobody_would_heed_is_refused_by_name(self, browser: Browser, gateway: Gatewayed) -> None:
        page = browser.open(gateway.server.url, new_chat(), body={"model": "openai", "topK": 3})
        assert (page.send("Hi").error or "").startswith("topK: ")
        assert not gateway.seen

    def test_the_outputs_of_tools_go_back_and_the_answer_goes_on_in_the_same_message(
        self, browser: Browser, gateway: Gatewayed
    ) -> None:
        gateway.up.script(Script(pieces=PARALLEL, finish="tool_calls"), Script(pieces=("It is ", "cold.")))
        outputs = {"look": {"degrees": 12}, "find": "nothing"}
        page = open_page(browser, gateway, outputs=outputs)
        page.begin("send", {"text": "Cold?"})
        view = page.reads("cold.")
        view = page.rests()
        assert [message["role"] for message in view.messages] == ["user", "assistant"]
        assert [part["type"] for part in view.parts()] == [
            *("step-start", "tool-look", "tool-find", "step-start", "text"),
        ]
        assert view.text == "It is cold."
        results = [message["content"] for message in heard(gateway)["messages"] if message["role"] == "tool"]
        assert results == ['{"degrees":12}', "nothing"]


_TOOLS: list[dict[str, Any]] = [
    {
        "id": "a1",
        "role": "assistant",
        "metadata": {"anything": True},
        "parts": [
            {"type": "step-start"},
            {"type": "reasoning", "text": "never said", "state": "done"},
            {
                "type": "tool-look",
                "toolCallId": "call_9",
                "state": "output-available",
                "input": {"where": "hüben"},
                "output": "12 degrees",
            },
            {"type": "step-start"},
            {"type": "text", "text": "It is 12 degrees."},
            {"type": "data-weather", "data": "never said"},
            {"type": "source-url", "sourceId": "s", "url": "https://never said"},
        ],
    }
]
