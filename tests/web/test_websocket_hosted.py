"""WebSockets on both kinds of loop, and on a server that offers no wire: the same over its ordinary `send`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tailrace import Options, Tailrace
from tailrace.chat.gateway import Gateway
from tailrace.log import Retention
from tailrace.server.websocket import socket_options
from tailrace.web import WebOptions, create_app
from tests.support.hosted import LOOPS, Hosted, Loop, until
from tests.support.websocket import Talk, Wire


class Under:
    """The application under our protocols on some loop, or under uvicorn's own (plain)."""

    def __init__(self, kind: str) -> None:
        history = Retention(events=10_000, bytes=50_000_000)
        self.tail = Tailrace(options=Options(write_timeout=1.5, history=history))
        gateway = Gateway.build()
        app = create_app(self.tail, gateway, WebOptions())
        if kind == "plain":
            self.hosted = Hosted(app, http="httptools")
        else:
            loop: Loop = "uvloop" if kind == "uvloop" else "asyncio"
            self.hosted = Hosted(app, loop=loop, **socket_options(15, 1.5, 1_000_000))

    def flood(self, channel: str, events: int) -> None:
        async def publish() -> None:
            for number in range(events):
                await self.tail.publish(channel, {"n": number, "x": "x" * 4000})

        self.hosted.call(publish())


@pytest.fixture(scope="module", params=["plain", *LOOPS])
def under(request: pytest.FixtureRequest) -> Iterator[Under]:
    under = Under(request.param)
    with under.hosted:
        yield under


def test_channels_and_answers_come_as_on_the_wire(under: Under) -> None:
    with Talk(under.hosted.address) as talk:
        talk.ask("subscribe", {"channel": "news"})
        assert talk.event()["event"] == "ready"
        talk.ask("publish", {"channel": "news", "data": "ü"})
        assert talk.event()["data"] == "ü"
        run = talk.ask("chat", {"message": "Hi", "max_tokens": 3})["run"]
        events = talk.events("done")
        assert [each["event"] for each in events] == ["start", "message", "message", "message", "finish", "done"]
        assert {each["run"] for each in events} == {run}
    until(lambda: not under.tail.hub.subscriptions)


def test_a_slow_reader_gets_everything_and_its_bytes_wait_in_the_log(under: Under) -> None:
    with Wire(under.hosted.address, receive_buffer=4096) as slow:
        slow.say("subscribe", {"channel": "slow"})
        slow.several(2)
        under.flood("slow", 400)
        (reader,) = under.tail.hub.subscriptions
        until(lambda: reader.full)
        assert reader.pending < 600_000
        assert [each["data"]["n"] for each in slow.several(400)] == list(range(400))


def test_who_takes_nothing_is_cut(under: Under) -> None:
    with Wire(under.hosted.address, receive_buffer=4096) as stuck:
        stuck.say("subscribe", {"channel": "stuck"})
        stuck.several(2)
        under.flood("stuck", 400)
        until(lambda: under.tail.counters["cuts"] == 1)
        until(lambda: not under.tail.hub.subscriptions)
        seen = [each["data"]["n"] for each in stuck.to_end()]
        assert seen == list(range(len(seen)))
        assert len(seen) < 400
    until(lambda: not under.hosted.tasks)


def test_a_stream_that_the_store_breaks_is_told_and_the_connection_stays(under: Under) -> None:
    with Talk(under.hosted.address) as talk:
        talk.ask("subscribe", {"channel": "broken"})
        talk.event()
        (reader,) = under.tail.hub.subscriptions

        async def fail() -> None:
            reader.abort("store")

        under.hosted.call(fail())
        said = talk.hear()
        assert (said["type"], said["code"], said["channel"]) == ("error", "stream_broken", "broken")
        assert talk.ask("subscribe", {"channel": "broken"})["type"] == "subscribed"
