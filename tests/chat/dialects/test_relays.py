"""An upstream's own frames, handed on and put together: nothing of them is lost, nothing is added."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.chat.dialects import DIALECTS, Head
from tailrace.errors import ErrorType, RunError
from tailrace.runs.deltas import Delta, Finish, Text, Thinking, ToolCall, Usage
from tailrace.sse import Decoder, Event
from tests.chat.dialects.judges import JUDGES
from tests.support.answers import pieces

UPSTREAM = Head(run="up", model="real", created=1_790_000_000, include_usage=True)
OURS = Head(run="r1", model="smart", created=1)
ASKED = Head(run="r1", model="smart", created=1, include_usage=True)
SAID: list[Delta] = [
    Thinking("Hm."),
    Text("Hel"),
    Text("lo"),
    ToolCall(0, "a", "f", '{"x":1}'),
    ToolCall(1, "b", "g"),
    Usage(20, 9, 5, 3, 4),
    Finish("tool_calls"),
]
CUT = RunError(ErrorType.PROVIDER_CUT, "the line broke")

every_dialect = pytest.mark.parametrize("name", DIALECTS)


def _stream(name: str, deltas: list[Delta]) -> bytes:
    """What an upstream of the dialect's own kind sends."""
    return DIALECTS[name].writer(UPSTREAM).write(deltas)


def _events(wire: bytes) -> list[Event]:
    return Decoder().receive(wire)


def _relayed(name: str, wire: bytes, head: Head = ASKED) -> bytes:
    relay = DIALECTS[name].relay(head)
    return b"".join(map(relay.write, _events(wire)))


def _accumulated(name: str, wire: bytes) -> dict[str, Any]:
    accumulator = DIALECTS[name].accumulator()
    for event in _events(wire):
        accumulator.add(event)
    return accumulator.whole()


@every_dialect
def test_frames_are_handed_on_byte_for_byte(name: str) -> None:
    wire = _stream(name, SAID)
    assert _relayed(name, wire) == wire


@every_dialect
def test_what_lies_between_the_upstream_and_us_is_not_handed_on(name: str) -> None:
    wire = _stream(name, SAID)
    first, _, rest = wire.partition(b"\n\n")
    noise = b": hello\n\nretry: 5\n\nid: 7\n\ndata:\n\nevent: ping\n\nevent: ping\ndata:\n\n"
    assert _relayed(name, b"\xef\xbb\xbf" + noise + b"id: 8\nretry: 1\n" + first + b"\n\n" + noise + rest) == wire


def test_the_usage_that_only_we_asked_for_is_kept_from_the_client() -> None:
    wire = _stream("openai-chat", SAID)
    relayed = _events(_relayed("openai-chat", wire, OURS))
    assert [event.data for event in relayed] == [
        event.data for event in _events(wire) if '"choices":[]' not in event.data
    ]


@pytest.mark.parametrize(
    "data",
    [
        '{"choices": [], "prompt_filter_results": []}',
        '{"choices": [], "usage": null}',
        '{"choices": [{"index": 0, "delta": {}}], "usage": {"prompt_tokens": 1}}',
        '{"choices": [{"index": 0, "delta": {"content": "\\"choices\\":[] \\"usage\\""}}]}',
        'no JSON "usage" "choices":[]',
    ],
)
def test_every_other_chunk_reaches_the_client(data: str) -> None:
    assert DIALECTS["openai-chat"].relay(OURS).write(Event(data)) == f"data: {data}\n\n".encode()


def test_a_messages_event_without_a_name_gets_the_one_that_the_sdk_looks_for() -> None:
    assert DIALECTS["anthropic"].relay(OURS).write(Event('{"type":"message_stop"}')) == (
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )


@every_dialect
def test_a_relay_that_breaks_ends_in_an_error_that_the_sdk_raises(name: str) -> None:
    frames = _events(_stream(name, SAID))
    for count in (0, 1, 3, 6):
        relay = DIALECTS[name].relay(OURS)
        wire = b"".join(map(relay.write, frames[:count])) + relay.fail(CUT)
        with pytest.raises(JUDGES[name].raises, match="the line broke"):
            JUDGES[name].stream(wire)


def test_the_error_of_a_broken_response_is_counted_on_and_keeps_its_identity() -> None:
    relay = DIALECTS["openai-responses"].relay(OURS)
    for event in _events(_stream("openai-responses", SAID))[:5]:
        relay.write(event)
    failed, error = (json.loads(event.data) for event in _events(relay.fail(CUT)))
    assert (failed["sequence_number"], error["sequence_number"]) == (5, 6)
    assert (failed["response"]["id"], failed["response"]["status"]) == ("resp_up", "failed")


def test_an_end_mark_that_is_none_of_the_apis_own_is_not_taken_for_a_good_end() -> None:
    relay = DIALECTS["openai-responses"].relay(OURS)
    opening = b"".join(map(relay.write, _events(_stream("openai-responses", SAID))[:3]))
    wire = opening + relay.write(Event("[DONE]")) + relay.fail(CUT)
    with pytest.raises(JUDGES["openai-responses"].raises, match="the line broke"):
        JUDGES["openai-responses"].stream(wire)


def test_anthropics_ping_waits_for_the_first_event_of_a_relay_too() -> None:
    relay = DIALECTS["anthropic"].relay(OURS)
    assert relay.keep_alive == b":\n"
    relay.write(_events(_stream("anthropic", SAID))[0])
    assert relay.keep_alive.startswith(b"event: ping\n")
    assert DIALECTS["openai-chat"].relay(OURS).keep_alive == b":\n"


@settings(deadline=None)
@given(said=pieces(), name=st.sampled_from(sorted(DIALECTS)))
def test_an_upstreams_frames_come_to_the_answer_that_it_would_have_given_whole(
    said: tuple[Delta, ...], name: str
) -> None:
    reason = "tool_calls" if any(isinstance(delta, ToolCall) for delta in said) else "stop"
    deltas = [*said, Usage(20, 9, 5, 3, 4), Finish(reason)]
    whole, accumulated = DIALECTS[name].whole(UPSTREAM, deltas), _accumulated(name, _stream(name, deltas))
    if name == "openai-chat":
        message = accumulated["choices"][0]["message"]
        assert message.pop("content") == "".join(delta.text for delta in said if isinstance(delta, Text))
        del whole["choices"][0]["message"]["content"], whole["choices"][0]["message"]["annotations"]
    assert accumulated == whole


@every_dialect
def test_the_sdk_reads_a_whole_answer_that_was_put_together(name: str) -> None:
    wire = _stream(name, SAID)
    assert JUDGES[name].whole(_accumulated(name, wire)) == JUDGES[name].stream(wire)


def _chunk(*choices: dict[str, Any], **more: Any) -> bytes:
    return f"data: {json.dumps({'id': 'x', 'choices': choices, **more})}\n\n".encode()


def test_chunks_keep_every_choice_and_all_fields_that_are_unknown_here() -> None:
    wire = b"".join(
        [
            _chunk({"index": 0, "delta": {"role": "assistant", "content": ""}}, system_fingerprint="fp", brand_new=1),
            _chunk({"index": 1, "delta": {"role": "assistant", "content": "b"}}, obfuscation="aaaa"),
            _chunk({"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [{"token": "a"}], "refusal": None}}),
            _chunk(
                {"index": 0, "delta": {"role": "assistant", "content": "!"}, "logprobs": {"content": [{"token": "!"}]}}
            ),
            _chunk({"index": 0, "delta": {"audio": {"id": "au", "data": "x"}}}),
            _chunk({"index": 0, "delta": {"audio": {"id": "au", "data": "y"}}}),
            _chunk({"index": 0, "delta": {}, "finish_reason": "stop", "content_filter_results": {"hate": False}}),
            _chunk({"index": 1, "delta": {}, "finish_reason": "length"}),
            _chunk(usage={"prompt_tokens": 1}),
            b"data: [DONE]\n\n",
        ]
    )
    assert _accumulated("openai-chat", wire) == {
        "id": "x",
        "object": "chat.completion",
        "system_fingerprint": "fp",
        "brand_new": 1,
        "usage": {"prompt_tokens": 1},
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "a!",
                    "refusal": None,
                    "audio": {"id": "au", "data": "xy"},
                },
                "logprobs": {"content": [{"token": "a"}, {"token": "!"}], "refusal": None},
                "finish_reason": "stop",
                "content_filter_results": {"hate": False},
            },
            {
                "index": 1,
                "message": {"role": "assistant", "content": "b", "refusal": None},
                "logprobs": None,
                "finish_reason": "length",
            },
        ],
    }


HABITS: dict[str, list[dict[str, Any]]] = {
    "as OpenAI": [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "[]"}},
        {"index": 0, "function": {"arguments": "{}"}},
    ],
    "id and name on each fragment": [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{"}},
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "}"}},
        {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "[]"}},
    ],
    "every call at index 0": [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"index": 0, "id": "b", "type": "function", "function": {"name": "g", "arguments": "["}},
        {"index": 0, "function": {"arguments": "]"}},
    ],
    "no index": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{"}},
        {"function": {"arguments": "}"}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "[]"}},
    ],
}


@pytest.mark.parametrize("fragments", HABITS.values(), ids=HABITS)
@pytest.mark.parametrize("together", [False, True])
def test_calls_are_put_together_whatever_the_server_counts_by(fragments: list[dict[str, Any]], together: bool) -> None:
    groups = [fragments] if together else [[fragment] for fragment in fragments]
    wire = b"".join(_chunk({"index": 0, "delta": {"tool_calls": group}}) for group in groups)
    assert _accumulated("openai-chat", wire)["choices"][0]["message"]["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "[]"}},
    ]


def _named(kind: str, **body: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **body})}\n\n".encode()


def test_messages_events_keep_signatures_citations_and_what_is_unknown_here() -> None:
    def delta(index: int, **fields: Any) -> bytes:
        return _named("content_block_delta", index=index, delta=fields)

    wire = b"".join(
        [
            _named(
                "message_start", message={"id": "msg_1", "content": [], "usage": {"input_tokens": 3}, "brand_new": 1}
            ),
            _named("ping"),
            _named("content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "signature": ""}),
            delta(0, type="thinking_delta", thinking="Hm"),
            delta(0, type="signature_delta", signature="sig"),
            _named("content_block_start", index=1, content_block={"type": "text", "text": "", "citations": None}),
            delta(1, type="text_delta", text="a"),
            delta(1, type="citations_delta", citation={"cited_text": "x"}),
            delta(1, type="text_delta", text="b"),
            _named("content_block_start", index=2, content_block={"type": "server_tool_use", "id": "s", "input": {}}),
            delta(2, type="input_json_delta", partial_json='{"query":'),
            delta(2, type="input_json_delta", partial_json='"x"}'),
            _named("content_block_start", index=3, content_block={"type": "tool_use", "id": "t", "input": {"y": 1}}),
            _named("content_block_start", index=4, content_block={"type": "compaction", "content": None}),
            delta(4, type="compaction_delta", content="gist"),
            _named("brand_new_event", index="x"),
            _named(
                "message_delta",
                delta={"stop_reason": "refusal", "stop_details": {"category": "bio"}},
                usage={"output_tokens": 9, "input_tokens": None},
                context_management={"applied_edits": []},
            ),
            _named("message_stop"),
        ]
    )
    assert _accumulated("anthropic", wire) == {
        "id": "msg_1",
        "brand_new": 1,
        "content": [
            {"type": "thinking", "thinking": "Hm", "signature": "sig"},
            {"type": "text", "text": "ab", "citations": [{"cited_text": "x"}]},
            {"type": "server_tool_use", "id": "s", "input": {"query": "x"}},
            {"type": "tool_use", "id": "t", "input": {"y": 1}},
            {"type": "compaction", "content": "gist"},
        ],
        "usage": {"input_tokens": 3, "output_tokens": 9},
        "stop_reason": "refusal",
        "stop_details": {"category": "bio"},
        "context_management": {"applied_edits": []},
    }


@pytest.mark.parametrize("nameless", [False, True])
def test_a_response_is_taken_from_its_last_event_and_its_output_from_before_where_that_has_none(nameless: bool) -> None:
    items = [{"type": "message", "id": "m"}, {"type": "brand_new", "id": "n"}]
    wire = b"".join(
        [
            _named("response.created", response={"id": "resp_1", "output": []}),
            _named("response.output_item.done", output_index=1, item=items[1]),
            _named("response.output_item.done", output_index=0, item=items[0]),
            _named("response.completed", response={"id": "resp_1", "output": [], "brand_new": 1}),
        ]
    )
    if nameless:
        wire = b"".join(f"data: {event.data}\n\n".encode() for event in _events(wire)) + b"data: [DONE]\n\n"
    assert _accumulated("openai-responses", wire) == {"id": "resp_1", "output": items, "brand_new": 1}


_json = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["index", "delta", "usage", "citation", "message", "id"]), inner)
    ),
)


@settings(deadline=None)
@given(frames=st.lists(st.dictionaries(st.sampled_from(["index", "brand_new", "x", "id"]), _json), max_size=4))
def test_a_frame_that_lacks_what_is_usual_does_not_break_the_whole(frames: list[dict[str, Any]]) -> None:
    kinds = ("message_start", "content_block_start", "content_block_delta", "message_delta", "response.completed")
    for name in DIALECTS:
        accumulator = DIALECTS[name].accumulator()
        for number, frame in enumerate(frames):
            kind = kinds[number % len(kinds)]
            body = {name: value for name, value in frame.items() if name != "index" or isinstance(value, int)}
            accumulator.add(Event(json.dumps(body | {"type": kind}), kind))
        json.dumps(accumulator.whole())


def test_a_responses_frame_of_another_shape_breaks_neither_the_whole_nor_the_error() -> None:
    odd = Event('{"type": "brand_new", "response": [], "output_index": "x", "sequence_number": null}')
    accumulator, relay = DIALECTS["openai-responses"].accumulator(), DIALECTS["openai-responses"].relay(OURS)
    accumulator.add(odd)
    relay.write(odd)
    assert accumulator.whole() == {"output": []}
    assert b"the line broke" in relay.fail(CUT)


def test_lists_of_all_kinds_are_accumulated() -> None:
    wire = _chunk({"index": 0, "delta": {"x": ["a"]}}) + _chunk({"index": 0, "delta": {"x": [{"index": 0}, 1]}})
    assert _accumulated("openai-chat", wire)["choices"][0]["message"]["x"] == ["a", {"index": 0}, 1]


def test_frames_without_content_can_be_accumulated() -> None:
    for name in DIALECTS:
        wire = _stream(name, SAID)
        assert _accumulated(name, b"data:\n\nevent: ping\ndata:\n\n" + wire) == _accumulated(name, wire)
