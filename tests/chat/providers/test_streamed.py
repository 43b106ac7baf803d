"""All HTTP providers against a scripted upstream, over a real socket: every way in which an answer can end."""

from __future__ import annotations

import asyncio
import gc
import re
import time
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tailrace.chat.ask import Ask, Message
from tailrace.chat.providers.anthropic import Anthropic
from tailrace.chat.providers.base import ProviderOptions
from tailrace.chat.providers.openai import OpenAI
from tailrace.chat.providers.responses import OpenAIResponses
from tailrace.chat.timeouts import Timeouts
from tailrace.chat.upstream import Connections, Exchange
from tailrace.errors import ErrorType, ProviderError
from tailrace.runs.deltas import Delta, Finish, Frame, Part, Text, Thinking, ToolCall, Usage
from tailrace.sse import Decoder
from tests.support.upstream import Script, Upstream
from tests.support.upstream_frames import FRAMES
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tailrace.chat.providers.streamed import StreamedProvider

pytestmark = pytest.mark.anyio

HI = Ask(messages=(Message("user", "Hi"),), model="m")
SECRET = "very-secret-0123456789"
LIMITS = Timeouts(connect=2, first_token=2, idle=2, total=4)
AT_ONCE = 0.5  # seconds; 2 ms on an idle machine, and far below any timeout that could hide a missing close
HELLO: list[Delta] = [Text("Hello"), Text(", "), Text("world"), Text("!")]


@dataclass
class Bench:
    """One kind of provider, pointed at a scripted upstream."""

    kind: type[StreamedProvider]
    up: Upstream
    connections: Connections

    def provider(self, timeouts: Timeouts = LIMITS, max_streams: int = 100) -> StreamedProvider:
        base_url = self.up.url + ("" if self.kind is Anthropic else "/v1")
        options = ProviderOptions(
            name="p",
            kind=self.kind.kind,
            base_url=base_url,
            api_key=SECRET,
            timeouts=timeouts,
            max_streams=max_streams,
        )
        return self.kind(options, self.connections)

    async def heard(self, timeouts: Timeouts = LIMITS) -> tuple[list[Delta], ProviderError | None]:
        """Ask once; return what came, but for a usage that is told before the end, and what ended it."""
        deltas: list[Delta] = []
        try:
            async for batch in self.provider(timeouts).answer(HI):
                assert batch
                deltas += (delta for delta in batch if not (isinstance(delta, Usage) and delta.output_tokens is None))
        except ProviderError as error:
            return deltas, error
        return [_plain(delta) for delta in deltas], None


def _plain(delta: Delta) -> Delta:
    """A usage without its parts: Responses has zeros where others say nothing."""
    return Usage(delta.input_tokens, delta.output_tokens) if isinstance(delta, Usage) else delta


@pytest.fixture(params=[Anthropic, OpenAI, OpenAIResponses], ids=["anthropic", "openai", "openai-responses"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    with Upstream() as up:
        connections = Connections()
        yield Bench(request.param, up, connections)
        assert not connections.exchanges, "every exchange was closed"
        await connections.close()


@pytest.fixture(autouse=True)
def _nothing_unclosed() -> Iterator[None]:
    """What was left open warns when it is collected, and a warning is a failure."""
    yield
    gc.collect()


@pytest.mark.parametrize("noise", [False, True], ids=["plain", "noisy"])
@pytest.mark.parametrize("gzip", [False, True], ids=["identity", "gzip"])
@pytest.mark.parametrize("chunking", ["whole", "frame", "byte"])
async def test_an_answer_is_the_same_however_its_bytes_arrive(
    bench: Bench, chunking: str, gzip: bool, noise: bool
) -> None:
    bench.up.script(Script(chunking=chunking, gzip=gzip, noise=noise))  # type: ignore[arg-type]
    assert await bench.heard() == ([*HELLO, Usage(5, 4), Finish("stop")], None)


async def test_thinking_text_and_parallel_tool_calls_arrive_in_order_with_calls_counted_from_zero(bench: Bench) -> None:
    said: tuple[Delta, ...] = (
        Thinking("Hm, "),
        Thinking("so."),
        Text("Let me look."),
        ToolCall(0, "call_a", "weather"),
        ToolCall(0, arguments='{"city":'),
        ToolCall(0, arguments='"Köln"}'),
        ToolCall(1, "call_b", "time"),
        ToolCall(1, arguments="{}"),
    )
    bench.up.script(Script(pieces=said, finish="tool_calls", usage=(30, 9)))
    assert await bench.heard() == ([*said, Usage(30, 9), Finish("tool_calls")], None)


async def test_an_answer_without_usage_ends_with_its_finish_alone(bench: Bench) -> None:
    bench.up.script(Script(usage=None, finish="length"))
    assert await bench.heard() == ([*HELLO, Finish("length")], None)


async def test_what_one_network_chunk_brought_is_one_item(bench: Bench) -> None:
    bench.up.script(Script(chunking="whole"))
    assert len([batch async for batch in bench.provider().answer(HI)]) == 1


@pytest.mark.parametrize("noise", [False, True], ids=["plain", "noisy"])
@pytest.mark.parametrize("chunking", ["whole", "frame", "byte"])
async def test_a_relayed_answer_is_the_upstreams_events_each_with_what_it_says(
    bench: Bench, chunking: str, noise: bool
) -> None:
    script = Script(chunking=chunking, noise=noise)  # type: ignore[arg-type]
    bench.up.script(script, script)
    body = {"model": "smart", "messages": [], "stream": False, "brand_new": {"a": 1}}
    relayed = [part async for item in bench.provider().relay(body, "real") for part in item]
    frames = [part for part in relayed if isinstance(part, Frame)]
    assert frames == relayed
    told = [delta async for item in bench.provider().answer(HI) for delta in item]
    assert [delta for frame in frames for delta in frame.deltas] == told
    write = next(write for path, write in FRAMES.items() if bench.up.seen[0].path.endswith(path))
    sent = b"".join(frame.data for frame in write(script))
    assert [(frame.event, _unnumbered(frame.data)) for frame in frames] == [
        (event.event, _unnumbered(event.data)) for event in Decoder().receive(sent) if event.data
    ]
    asked = bench.up.seen[0].body
    assert (asked["model"], asked["stream"], asked["brand_new"]) == ("real", True, {"a": 1})


def _unnumbered(data: str) -> str:
    """The data of an event without the number of the response, of which each has its own."""
    return re.sub(r"resp_upstream\d+", "resp_upstream", data)


async def test_a_relayed_answer_that_breaks_keeps_the_event_that_says_so_to_itself(bench: Bench) -> None:
    bench.up.script(Script(fault="error", after=2, chunking="whole"))
    frames: list[Part] = []

    async def read() -> None:
        async for item in bench.provider().relay({"messages": []}, "real"):
            frames.extend(item)

    with pytest.raises(ProviderError) as caught:
        await read()
    assert caught.value.type == ErrorType.PROVIDER_OVERLOADED
    said = [delta for frame in frames if isinstance(frame, Frame) for delta in frame.deltas]
    assert [delta for delta in said if not isinstance(delta, Usage)] == HELLO[:2]
    assert not any("overloaded" in frame.data for frame in frames if isinstance(frame, Frame))


FAULTS = [
    (Script(fault="reset before head"), ErrorType.PROVIDER_UNREACHABLE, 0),
    (Script(fault="close before head"), ErrorType.PROVIDER_UNREACHABLE, 0),
    (Script(fault="reset", after=2), ErrorType.PROVIDER_CUT, 2),
    (Script(fault="cut", after=2), ErrorType.PROVIDER_CUT, 2),
    (Script(fault="cut", after=0), ErrorType.PROVIDER_CUT, 0),
    (Script(fault="eof", after=0), ErrorType.PROVIDER_INCOMPLETE, 0),
    (Script(fault="eof", after=3), ErrorType.PROVIDER_INCOMPLETE, 3),
    (Script(fault="no terminal"), ErrorType.PROVIDER_INCOMPLETE, 4),
    (Script(fault="malformed", after=1), ErrorType.PROVIDER_MALFORMED, 1),
    (Script(fault="malformed", after=3, chunking="whole"), ErrorType.PROVIDER_MALFORMED, 3),
    (Script(fault="error", after=0), ErrorType.PROVIDER_OVERLOADED, 0),
    (Script(fault="error", after=2), ErrorType.PROVIDER_OVERLOADED, 2),
    (Script(fault="error", after=2, chunking="whole"), ErrorType.PROVIDER_OVERLOADED, 2),
    (Script(fault="error", error={"type": "api_error", "message": "x"}), ErrorType.PROVIDER_FAILED, 0),
    (Script(content_type="application/json"), ErrorType.PROVIDER_MALFORMED, 0),
    (Script(status=400, body={"error": {"message": "no such model"}}), ErrorType.PROVIDER_REJECTED, 0),
    (Script(status=401), ErrorType.PROVIDER_AUTH, 0),
    (Script(status=403), ErrorType.PROVIDER_AUTH, 0),
    (Script(status=429), ErrorType.PROVIDER_RATE_LIMITED, 0),
    (Script(status=500), ErrorType.PROVIDER_FAILED, 0),
    (Script(status=503), ErrorType.PROVIDER_OVERLOADED, 0),
    (Script(status=529), ErrorType.PROVIDER_OVERLOADED, 0),
    (Script(headers={"Content-Encoding": "gzip"}), ErrorType.PROVIDER_MALFORMED, 0),
]


@pytest.mark.parametrize(
    ("script", "type_", "kept"), FAULTS, ids=[f"{s.status if s.status != 200 else s.fault}-{k}" for s, _, k in FAULTS]
)
async def test_each_fault_has_its_type_and_keeps_what_was_said_before(
    bench: Bench, script: Script, type_: ErrorType, kept: int
) -> None:
    bench.up.script(script)
    deltas, error = await bench.heard()
    assert deltas == HELLO[:kept]
    assert error is not None
    assert error.type == type_


async def test_a_refused_connection_is_unreachable(bench: Bench) -> None:
    bench.up.refuse()
    deltas, error = await bench.heard()
    assert deltas == []
    assert error is not None
    assert (error.type, error.message) == (
        ErrorType.PROVIDER_UNREACHABLE,
        "the provider cannot be reached: connection refused",
    )


TIMEOUTS = [
    (Script(fault="no head"), Timeouts(first_token=0.05), ErrorType.PROVIDER_FIRST_TOKEN_TIMEOUT, 0),
    (Script(fault="no head"), Timeouts(total=0.05), ErrorType.PROVIDER_TOTAL_TIMEOUT, 0),
    (Script(fault="head only"), Timeouts(first_token=0.05), ErrorType.PROVIDER_FIRST_TOKEN_TIMEOUT, 0),
    (Script(first_delay=5), Timeouts(first_token=0.05, idle=0.01), ErrorType.PROVIDER_FIRST_TOKEN_TIMEOUT, 0),
    (Script(fault="stall", after=2), Timeouts(idle=0.05), ErrorType.PROVIDER_IDLE_TIMEOUT, 2),
    (Script(fault="stall", after=2), Timeouts(total=0.2), ErrorType.PROVIDER_TOTAL_TIMEOUT, 2),
]


@pytest.mark.parametrize(
    ("script", "limits", "type_", "kept"), TIMEOUTS, ids=[f"{s.fault}-{t}" for s, _, t, _ in TIMEOUTS]
)
async def test_each_timeout_has_its_type_keeps_what_was_said_and_closes_upstream(
    bench: Bench, script: Script, limits: Timeouts, type_: ErrorType, kept: int
) -> None:
    bench.up.script(script)
    deltas, error = await bench.heard(limits)
    assert deltas == HELLO[:kept]
    assert error is not None
    assert error.type == type_
    await bench.up.until(lambda seen: seen[0].aborted_at is not None)


async def test_a_slow_first_token_within_its_timeout_is_no_fault(bench: Bench) -> None:
    bench.up.script(Script(head_delay=0.03, first_delay=0.03))
    assert await bench.heard() == ([*HELLO, Usage(5, 4), Finish("stop")], None)


async def test_a_consumer_that_takes_its_time_gets_what_came_before_the_break(bench: Bench) -> None:
    bench.up.script(Script(fault="reset", after=3, chunking="frame", delay=0.01))
    deltas: list[Delta] = []

    async def read_slowly() -> None:
        async for batch in bench.provider().answer(HI):
            deltas.extend(delta for delta in batch if isinstance(delta, Text))
            [exchange] = bench.connections.exchanges
            assert isinstance(exchange, Exchange)
            await eventually(partial(getattr, exchange._connection, "gone"))

    with pytest.raises(ProviderError) as caught:
        await read_slowly()
    assert caught.value.type == ErrorType.PROVIDER_CUT
    assert deltas == HELLO[:3]


async def _aborted_at(up: Upstream) -> float:
    await up.until(lambda seen: seen[0].aborted_at is not None)
    assert up.seen[0].aborted_at is not None
    return up.seen[0].aborted_at


ABORTS = {
    "waiting for the head": Script(fault="no head"),
    "waiting for the first frame": Script(fault="head only"),
    "in the middle of the answer": Script(fault="stall", after=2),
}


@pytest.mark.parametrize("script", ABORTS.values(), ids=ABORTS)
async def test_a_cancelled_task_closes_upstream_at_once(bench: Bench, script: Script) -> None:
    bench.up.script(script)
    task = asyncio.create_task(bench.heard())
    await bench.up.until(lambda seen: seen and seen[0].streaming_at)
    cancelled = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _aborted_at(bench.up) - cancelled < AT_ONCE


async def test_a_closed_generator_closes_upstream_at_once(bench: Bench) -> None:
    bench.up.script(Script(fault="stall", after=2))
    async with aclosing(bench.provider().answer(HI)) as answer:
        await anext(answer)
        closed = time.monotonic()
    assert await _aborted_at(bench.up) - closed < AT_ONCE


async def test_a_task_cancelled_while_connecting_leaves_nothing_behind(bench: Bench) -> None:
    task = asyncio.create_task(bench.heard())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.up.seen == []


async def test_an_answer_that_was_not_asked_for_yet_sends_nothing(bench: Bench) -> None:
    await bench.provider().answer(HI).aclose()
    assert bench.up.connections == 0


async def test_the_answer_over_the_bound_is_refused_as_overloaded_and_a_finished_one_makes_room(bench: Bench) -> None:
    bench.up.script(Script(fault="stall", after=1))
    provider = bench.provider(max_streams=1)
    async with aclosing(provider.answer(HI)) as first:
        await anext(first)
        with pytest.raises(ProviderError, match="which is the limit") as caught:
            await anext(provider.answer(HI))
        assert caught.value.type == ErrorType.PROVIDER_OVERLOADED
    assert [batch async for batch in provider.answer(HI)]


async def test_a_redirect_is_not_followed(bench: Bench) -> None:
    with Upstream() as elsewhere:
        bench.up.script(Script(status=307, headers={"Location": f"{elsewhere.url}/v1/messages"}))
        _, error = await bench.heard()
        assert error is not None
        assert error.type == ErrorType.PROVIDER_REJECTED
        assert elsewhere.connections == 0


async def test_a_key_that_the_provider_echoes_reaches_neither_message_nor_traceback(bench: Bench) -> None:
    echo = {"type": "authentication_error", "message": f"bad key {SECRET}"}
    for script in (Script(status=401, body={"error": echo}), Script(fault="error", error=echo)):
        bench.up.script(script)
        _, error = await bench.heard()
        assert error is not None
        assert error.type == ErrorType.PROVIDER_AUTH
        assert "bad key [key]" in error.message
        assert error.__suppress_context__
        assert SECRET not in f"{error!r} {error.__cause__!r}"


async def test_the_wait_that_a_provider_asks_for_is_handed_on(bench: Bench) -> None:
    bench.up.script(Script(status=429, headers={"Retry-After": "7"}))
    _, error = await bench.heard()
    assert error is not None
    assert (error.status, error.retry_after) == (429, 7.0)


async def test_an_error_whose_body_never_comes_is_still_told_by_its_status(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace.chat.upstream._ERROR_BODY_WAIT", 0.02)
    bench.up.script(Script(status=529, headers={"Content-Length": "100"}, body=b'{"error":'))
    _, error = await bench.heard()
    assert error is not None
    assert error.type == ErrorType.PROVIDER_OVERLOADED


async def test_a_request_carries_the_key_and_asks_for_an_uncompressed_stream(bench: Bench) -> None:
    await bench.heard()
    [seen] = bench.up.seen
    assert seen.method == "POST"
    assert SECRET in (seen.headers.get("x-api-key"), seen.headers.get("authorization", "").removeprefix("Bearer "))
    assert seen.headers["accept"] == "text/event-stream"
    assert seen.headers["accept-encoding"] == "identity"
    assert seen.headers["content-type"] == "application/json"
    assert "cookie" not in seen.headers
    assert seen.body["stream"] is True


async def test_no_cookie_is_kept(bench: Bench) -> None:
    bench.up.default = Script(headers={"Set-Cookie": "a=b"})
    await bench.heard()
    await bench.heard()
    assert "cookie" not in bench.up.seen[1].headers


async def test_a_question_of_several_megabytes_is_sent_whole(bench: Bench) -> None:
    ask = Ask(messages=(Message("user", "x" * 3_000_000),))
    assert [batch async for batch in bench.provider().answer(ask)]
    asked = bench.up.seen[0].body["input" if bench.kind is OpenAIResponses else "messages"]
    assert len(asked[0]["content"]) == 3_000_000


async def test_the_connection_is_used_again_although_the_body_ends_after_the_terminal(bench: Bench) -> None:
    provider = bench.provider()
    for _ in range(3):
        async for _ in provider.answer(HI):
            pass
        await eventually(lambda: not bench.connections._lingering)
    assert bench.up.connections == 1
