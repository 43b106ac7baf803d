"""The AI SDK's messages as an `Ask`, and an answer as the chunks from which the SDK rebuilds a message."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.chat.ask import Message, ToolUse
from tailrace.chat.dialects import AI_SDK, SPOKEN, BadRequest, Head, check
from tailrace.chat.dialects.ai_sdk import retold
from tailrace.chat.dialects.rendering import DialectRenderer, pack, spoken, unpack
from tailrace.chat.dialects.segments import said
from tailrace.errors import ErrorType, RunError
from tailrace.log import Record
from tailrace.runs.deltas import Delta, Finish, Refusal, Text, Thinking, ToolCall, Usage
from tailrace.sse import Decoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tailrace.chat.dialects import Request

HEAD = Head(run="r1", model="smart", created=1)
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"id": "u", "role": "user", "parts": [*parts]}


def assistant(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"id": "a", "role": "assistant", "parts": [*parts]}


def call(state: str, **more: Any) -> dict[str, Any]:
    return {"type": "tool-look", "toolCallId": "c1", "state": state, "input": {"x": 1}, **more}


def read(*messages: dict[str, Any], **more: Any) -> Request:
    return AI_SDK.read({"id": "chat", "messages": [*messages], **more})


def messages_of(*messages: dict[str, Any]) -> tuple[Message, ...]:
    ask = read(*messages).ask
    assert ask is not None
    return ask.messages


HI = user(text("Hi"))


class TestReading:
    def test_texts_and_images_are_said_in_their_order(self) -> None:
        image = {"type": "file", "mediaType": "image/png", "url": PIXEL, "filename": "x.png"}
        assert messages_of(HI, assistant(text("Yes?")), user(image, text("See?"))) == (
            Message("user", "Hi"),
            Message("assistant", "Yes?"),
            Message("user", ({"type": "image_url", "image_url": {"url": PIXEL}}, text("See?"))),
        )

    def test_the_systems_texts_are_one(self) -> None:
        system = {"role": "system", "parts": [text("Be "), text("brief")]}
        assert messages_of(system, HI)[0] == Message("system", "Be brief")

    @pytest.mark.parametrize(
        ("part", "result", "failed"),
        [
            (call("output-available", output="cold"), "cold", False),
            (call("output-available", output={"a": [1, None]}), '{"a":[1,null]}', False),
            (call("output-available"), "null", False),
            (call("output-error", errorText="broken"), "broken", True),
            (call("output-denied", approval={"approved": False, "reason": "no"}), "no", True),
            (call("output-denied"), "Tool call execution denied.", True),
        ],
    )
    def test_a_tool_call_is_followed_by_what_it_gave(self, part: dict[str, Any], result: str, failed: bool) -> None:
        assert messages_of(HI, assistant(text("Well."), part), user(text("So?")))[1:3] == (
            Message("assistant", "Well.", tool_calls=(ToolUse("c1", "look", '{"x":1}'),)),
            Message("tool", result, tool_call_id="c1", is_error=failed),
        )

    def test_what_was_no_json_goes_back_as_the_model_wrote_it(self) -> None:
        part = call("output-error", errorText="no JSON", input=None, rawInput='{"x":')
        assert messages_of(HI, assistant(part))[1].tool_calls == (ToolUse("c1", "look", '{"x":'),)

    def test_a_message_is_cut_where_a_step_began_and_where_text_follows_a_call(self) -> None:
        dynamic = {**call("output-available", output="1"), "type": "dynamic-tool", "toolName": "find"}
        step = {"type": "step-start"}
        first, second = {**dynamic, "toolCallId": "c1"}, {**dynamic, "toolCallId": "c2"}
        told = messages_of(HI, assistant(step, first, step, second, text("Done")))
        assert [(each.role, each.content, each.tool_call_id) for each in told[1:]] == [
            ("assistant", "", ""),
            ("tool", "1", "c1"),
            ("assistant", "", ""),
            ("tool", "1", "c2"),
            ("assistant", "Done", ""),
        ]

    def test_what_no_model_is_told_is_passed_over(self) -> None:
        shown = assistant(
            {"type": "reasoning", "text": "hm"},
            {"type": "data-weather", "data": 1},
            {"type": "source-url", "sourceId": "s", "url": "u"},
            {"type": "source-document", "sourceId": "s", "mediaType": "m", "title": "t"},
            {"type": "tool-look", "toolCallId": "c9", "state": "input-streaming"},
        )
        assert messages_of(HI, shown, user(text("So?"), {"type": "data-x", "data": 1})) == (
            Message("user", "Hi"),
            Message("user", "So?"),
        )

    @pytest.mark.parametrize(
        ("more", "field"),
        [
            ({"messages": [user()]}, "messages.0.parts"),
            ({"messages": [{"role": "user"}]}, "messages.0.parts"),
            ({"messages": [{"role": "tool", "parts": []}]}, "messages.0.role"),
            ({"messages": [user({"type": "reasoning", "text": "x"})]}, "messages.0.parts.0"),
            ({"messages": [user({"type": "text"})]}, "messages.0.parts.0.text"),
            (
                {"messages": [user({"type": "file", "mediaType": "text/csv", "url": "x"})]},
                "messages.0.parts.0.mediaType",
            ),
            ({"messages": [user({"type": "file", "mediaType": "image/png"})]}, "messages.0.parts.0.url"),
            ({"messages": [HI, assistant(call("input-available"))]}, "messages.1.parts.0.state"),
            ({"messages": [HI, assistant(call("approval-requested"))]}, "messages.1.parts.0.state"),
            ({"messages": [HI, assistant(call("output-available", providerExecuted=True))]}, "messages.1.parts.0"),
            (
                {"messages": [HI, assistant({"type": "file", "mediaType": "image/png", "url": "x"})]},
                "messages.1.parts.0",
            ),
            ({"messages": [HI, assistant({"type": "reasoning"})]}, "messages.1.parts.0.text"),
            ({"messages": [{**HI, "id": 7}]}, "messages.0.id"),
            ({"messages": []}, "messages"),
            ({"messages": None}, "messages"),
            ({"messages": [assistant()]}, "messages"),
            ({"id": ""}, "id"),
            ({"id": "x" * 257}, "id"),
            ({"trigger": "shout"}, "trigger"),
            ({"max_tokens": 0}, "max_tokens"),
            ({"tools": {}}, "tools"),
            ({"metadata": []}, "metadata"),
        ],
    )
    def test_what_cannot_be_said_is_refused_by_its_place(self, more: dict[str, Any], field: str) -> None:
        with pytest.raises(BadRequest) as caught:
            AI_SDK.read({"id": "chat", "messages": [HI], **more})
        assert caught.value.param == field

    @pytest.mark.parametrize(("field", "value"), [("topK", 3), ("webSearch", True), ("stream", False)])
    def test_a_field_that_nobody_would_heed_is_refused_whoever_answers(self, field: str, value: object) -> None:
        asked = read(HI, **{field: value})
        for kind in ("openai", "anthropic", "openai-responses", "demo"):
            with pytest.raises(BadRequest) as caught:
                check(asked, kind)
            assert caught.value.param == field

    def test_what_useChat_sends_by_itself_is_no_obstacle_to_anybody(self) -> None:  # noqa: N802  # its own name
        asked = read(HI, trigger="submit-message", messageId="u", metadata={"user": "me"})
        assert check(asked, "demo") is asked.ask
        assert (asked.model, asked.user, asked.stream) == ("", "me", True)


def chunks(wire: bytes) -> list[dict[str, Any]]:
    *told, last = [event.data for event in Decoder().receive(wire)]
    assert last == "[DONE]"
    return [json.loads(data) for data in told]


def shown(told: Iterable[dict[str, Any]]) -> list[tuple[str, Any]]:
    """The parts that a stream comes to, as `processUIMessageStream` puts them together; strict as that is."""
    parts: list[list[Any]] = []
    active: dict[tuple[str, str], list[Any]] = {}
    for chunk in told:
        kind = chunk["type"]
        name, _, word = kind.rpartition("-")
        if kind in ("text-start", "reasoning-start", "tool-input-start"):
            active[name, chunk.get("id") or chunk["toolCallId"]] = part = [name, ""]
            parts.append(part)
        elif word == "delta":
            key = chunk.get("id") or chunk["toolCallId"]
            active[name, key][1] += chunk.get("delta", chunk.get("inputTextDelta"))
        elif word == "end":
            del active[name, chunk["id"]]
        elif kind in ("tool-input-available", "tool-input-error"):
            active.pop(("tool-input", chunk["toolCallId"]))[1] = (chunk["toolName"], chunk["input"])
    assert not active
    return [(kind, value) for kind, value in parts]


def write(*deltas: Delta) -> bytes:
    return AI_SDK.writer(HEAD).write(deltas)


_TEXT = st.text(max_size=8)
_SPOKEN = st.one_of(
    st.builds(Text, _TEXT),
    st.builds(Refusal, _TEXT),
    st.builds(Thinking, _TEXT),
    st.builds(ToolCall, st.integers(0, 2), st.just(""), st.just("f"), _TEXT | st.sampled_from(['{"a":', "1}", "{}"])),
)


class TestWriting:
    @given(st.lists(_SPOKEN, max_size=12), st.data())
    def test_the_message_is_what_was_said_however_it_was_batched(
        self, deltas: Sequence[Text | Thinking | ToolCall], data: st.DataObject
    ) -> None:
        ended = [*deltas, Finish("stop")]
        wire = write(*ended)
        writer, cut = AI_SDK.writer(HEAD), data.draw(st.integers(0, len(ended)))
        assert writer.write(ended[:cut]) + writer.write(ended[cut:]) == wire
        told = chunks(wire)
        assert [told[0], told[1]] == [{"type": "start", "messageId": "msg_r1"}, {"type": "start-step"}]
        assert told[-2:] == [{"type": "finish-step"}, {"type": "finish", "finishReason": "stop"}]
        expected: list[tuple[str, Any]] = []
        for segment in said(deltas).segments:
            if segment.kind != "call":
                expected.append(("reasoning" if segment.kind == "thinking" else "text", segment.text))
                continue
            try:
                given = json.loads(segment.text.strip() or "{}")
            except ValueError:
                given = segment.text
            expected.append(("tool-input", ("f", given)))
        assert shown(told) == expected

    def test_a_calls_input_is_as_the_model_wrote_it(self) -> None:
        wire = write(ToolCall(0, "c", "f", '{"n":\r\n 2.50,\n"big":123456789012345678901234567890}'), Finish("stop"))
        assert b'"input":{"n":   2.50, "big":123456789012345678901234567890}}' in wire

    @pytest.mark.parametrize(
        ("reason", "told"),
        [
            ("stop", "stop"),
            ("length", "length"),
            ("tool_calls", "tool-calls"),
            ("content_filter", "content-filter"),
            ("refusal", "content-filter"),
            ("pause", "other"),
            ("whatever", "other"),
        ],
    )
    def test_reasons_are_words_of_the_sdks_closed_list(self, reason: str, told: str) -> None:
        assert chunks(write(Usage(1, 2), Finish(reason)))[-1]["finishReason"] == told

    def test_an_error_and_a_cancel_are_told_apart_and_end_the_stream(self) -> None:
        for kind, told in (
            (ErrorType.CALLER_CANCELLED, {"type": "abort", "reason": "why"}),
            (ErrorType.PROVIDER_CUT, {"type": "error", "errorText": "why"}),
        ):
            writer = AI_SDK.writer(HEAD)
            wire = writer.write([Text("Hel")]) + writer.fail(RunError(kind, "why"))
            assert chunks(wire)[-1] == told
            assert (writer.write([Text("lo")]), writer.fail(RunError(kind, "again"))) == (b"", b"")

    def test_a_failure_is_a_message_too(self) -> None:
        wire = AI_SDK.writer(HEAD).fail(RunError(ErrorType.PROVIDER_CUT, "why"))
        assert [chunk["type"] for chunk in chunks(wire)] == ["start", "start-step", "error"]


class TestContinuing:
    TOOLS = assistant(
        {"type": "step-start"},
        {"type": "reasoning", "text": "hm", "providerMetadata": {"a": {}}},
        text("Well."),
        call("output-available", output={"y": 2}),
        {"type": "dynamic-tool", "toolName": "find", "toolCallId": "c2", "state": "output-error", "errorText": "no"},
        {"type": "data-x", "data": 1},
    )

    def head(self, *messages: dict[str, Any], **more: Any) -> Head:
        return AI_SDK.head(read(*messages, **more), "r1", 1)

    def opening(self, head: Head) -> list[dict[str, Any]]:
        return chunks(AI_SDK.writer(head).write([Text("So"), Finish("stop")]))

    def test_what_tools_gave_is_answered_in_the_message_that_called_them(self) -> None:
        told = self.opening(self.head(HI, self.TOOLS))
        assert told[:2] == [{"type": "start", "messageId": "a"}, {"type": "start-step"}]

    @pytest.mark.parametrize(
        ("messages", "more"),
        [
            ([HI], {}),
            ([HI, TOOLS], {"trigger": "regenerate-message"}),
            ([HI, {**TOOLS, "id": None}], {}),
            ([HI, TOOLS, HI], {}),
            ([HI, TOOLS, HI], {"messageId": "u"}),
        ],
    )
    def test_any_other_answer_is_a_message_of_its_own(self, messages: list[Any], more: dict[str, Any]) -> None:
        assert self.opening(self.head(*messages, **more))[0]["messageId"] == "msg_r1"

    def test_whoever_begins_with_nothing_is_told_the_message_from_its_beginning(self) -> None:
        told = self.opening(retold(self.head(HI, self.TOOLS)))
        assert told[1:13] == [
            {"type": "start-step"},
            {"type": "reasoning-start", "id": "before-1", "providerMetadata": {"a": {}}},
            {"type": "reasoning-delta", "id": "before-1", "delta": "hm"},
            {"type": "reasoning-end", "id": "before-1"},
            {"type": "text-start", "id": "before-2"},
            {"type": "text-delta", "id": "before-2", "delta": "Well."},
            {"type": "text-end", "id": "before-2"},
            {"type": "tool-input-start", "toolCallId": "c1", "toolName": "look"},
            {"type": "tool-input-delta", "toolCallId": "c1", "inputTextDelta": '{"x":1}'},
            {"type": "tool-output-available", "toolCallId": "c1", "output": {"y": 2}},
            {"type": "tool-input-start", "toolCallId": "c2", "toolName": "find", "dynamic": True},
            {"type": "tool-input-delta", "toolCallId": "c2", "inputTextDelta": "{}"},
        ]
        assert [chunk["type"] for chunk in told[13:17]] == ["tool-output-error", "data-x", "start-step", "text-start"]
        assert "tool-input-available" not in [chunk["type"] for chunk in told]  # that would run the tool once more

    def test_a_message_that_is_very_long_is_not_kept_for_that(self) -> None:
        head = self.head(HI, assistant(text("x" * 70_000), call("output-available", output="1")))
        assert len(pack("ai-sdk", head)) < 1000
        assert self.opening(retold(head))[0] == {"type": "start", "messageId": "a"}


def test_a_run_is_shown_so_from_its_records_and_has_no_other_form() -> None:
    view = pack("ai-sdk", HEAD)
    dialect, head = spoken("r1", view)
    assert (dialect, head) == (AI_SDK, HEAD)
    assert SPOKEN["ai-sdk"] is AI_SDK
    with pytest.raises(ValueError, match="dialect"):
        unpack("r1", view)
    records = [
        Record(1, "start", "{}", 0.0),
        Record(2, "", '{"text":"Hi"}', 0.0),
        Record(3, "finish", '{"finish_reason":"stop","usage":{"input_tokens":1,"output_tokens":1}}', 0.0),
        Record(4, "done", "[DONE]", 0.0),
    ]
    renderer = DialectRenderer(dialect, head)
    assert (renderer.dialect, renderer.heartbeat) == ("ai-sdk", b":\n")
    assert shown(chunks(b"".join(renderer.render("r1", records)))) == [("text", "Hi")]
