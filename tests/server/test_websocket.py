"""WebSockets of the real server: slow readers, very many of them, and what becomes of them when it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.hosted import until
from tests.support.raw import Ended, Raw
from tests.support.redis import RedisServer
from tests.support.scrape import scrape
from tests.support.server import Server
from tests.support.upstream import Script, Upstream
from tests.support.websocket import HANDSHAKE, Talk, Wire, frame

SETTINGS = """
[server]
write_timeout = 2
heartbeat = 0.5
[channels]
history_events = 100000
history_bytes = 50000000
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(SETTINGS) as server:
        yield server
        assert "Traceback" not in server.said, server.said


def flood(server: Server, channel: str, events: int, size: int = 4000) -> None:
    with Talk(server.address) as talk:
        for number in range(events):
            talk.say("publish", {"channel": channel, "data": f"{number} {'x' * size}"})
        while talk.ask("ping")["type"] != "pong":
            pass


def cut(server: Server) -> float:
    return scrape(server)["tailrace_cuts_total", "reason=write_timeout"]


def number_of(event: dict[str, object]) -> int:
    return int(str(event["data"]).partition(" ")[0])


# Slow readers.


def test_a_reader_that_was_full_gets_everything_in_order_and_holds_nobody_up(server: Server) -> None:
    with Wire(server.address, receive_buffer=4096) as slow, Talk(server.address) as quick:
        slow.say("subscribe", {"channel": "full"})
        assert [each["type"] for each in slow.several(2)] == ["subscribed", "event"]
        quick.ask("subscribe", {"channel": "full"})
        quick.event()
        flood(server, "full", 400)
        assert [number_of(quick.event()) for _ in range(400)] == list(range(400))
        assert scrape(server)["tailrace_streams_slow"] == 1
        # What does not fit into kernel and socket stays in the log: the server holds the rest of a frame at most.
        assert scrape(server)["tailrace_pending_bytes"] < 600_000
        assert [number_of(each) for each in slow.several(400)] == list(range(400))


def test_two_streams_of_a_full_connection_share_what_room_there_is(server: Server) -> None:
    with Wire(server.address, receive_buffer=4096) as slow:
        for channel in ("one", "two"):
            slow.say("subscribe", {"channel": channel})
            slow.several(2)
        flood(server, "one", 300)
        flood(server, "two", 300)
        heard: dict[str, list[int]] = {"one": [], "two": []}
        for _ in range(600):
            event = slow.hear()
            heard[event["channel"]].append(number_of(event))
            if event["channel"] == "two" and len(heard["two"]) == 1:
                before = len(heard["one"])
        assert heard == {"one": [*range(300)], "two": [*range(300)]}
        assert before < 300, "one was read to its end before anything of the other"


def test_a_full_connection_is_still_listened_to(server: Server) -> None:
    with Wire(server.address, receive_buffer=4096) as slow:
        slow.say("chat", {"message": "Say something long", "max_tokens": 100_000, "grace": 5})
        run = slow.hear()["run"]
        slow.say("subscribe", {"channel": "deaf"})
        flood(server, "deaf", 300)
        slow.say("cancel", {"run": run})
        json_ = {"accept": "application/json"}
        until(lambda: server.ask("GET", f"/api/chat/{run}", json_).json()["status"] == "cancelled")


def test_who_takes_nothing_is_cut_and_can_come_back(server: Server) -> None:
    cuts = cut(server)
    with Wire(server.address, receive_buffer=4096) as stuck:
        stuck.say("subscribe", {"channel": "stuck"})
        _, ready = stuck.several(2)
        flood(server, "stuck", 400)
        until(lambda: cut(server) > cuts)
        seen = [number_of(each) for each in stuck.to_end()]  # what the kernels still had, and then a reset
        assert seen == list(range(len(seen)))
        assert len(seen) < 400
    with Talk(server.address) as talk:
        talk.ask("subscribe", {"channel": "stuck", "last_event_id": ready["id"]})
        assert talk.event()["data"]["recovered"]
        assert [number_of(talk.event()) for _ in range(400)] == list(range(400))


def test_a_silent_connection_is_pinged_and_stays(server: Server) -> None:
    with Wire(server.address) as wire:
        wire.say("subscribe", {"channel": "silent"})
        wire.several(2)
        pings = [wire.frame() for _ in range(3)]
        assert {first for first, _ in pings} == {0x89}
        wire.say("ping")
        assert wire.hear()["type"] == "pong"


def test_who_asks_without_end_and_hears_nothing_is_answered_no_further(server: Server) -> None:
    with Wire(server.address, receive_buffer=4096) as rude:
        rude.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            rude.send(frame(b'{"type":"ping","payload":"%b"}' % (b"x" * 30_000)) * 2000)
        assert server.rss < 300_000_000
        # Nobody waits for it for ever, either: it owes an acknowledgement.
        until(lambda: scrape(server)["tailrace_sockets_open"] == 0)


# Very many.


def test_a_thousand_connections_get_every_event(server: Server) -> None:
    with ExitStack() as stack:
        readers = [stack.enter_context(Wire(server.address)) for _ in range(1000)]
        for reader in readers:
            reader.say("subscribe", {"channel": "many"})
        for reader in readers:
            assert reader.several(2)[1]["event"] == "ready"
        assert server.health()["subscribers"] >= 1000
        for number in range(5):
            server.publish("many", number)
        for reader in readers:
            assert [each["data"] for each in reader.several(5)] == [0, 1, 2, 3, 4]
    until(lambda: server.health()["subscribers"] == 0)
    until(lambda: scrape(server)["tailrace_sockets_open"] == 0)


# Leaving.


def test_all_are_told_to_come_back_and_closed_with_1012() -> None:
    with Server() as server, Talk(server.address) as idle, Talk(server.address) as talk:
        idle.ask("ping")
        ready = talk.ask("subscribe", {"channel": "news"}) and talk.event()
        server.terminate()
        code, reason, said = talk.closed()
        assert (code, reason) == (1012, "draining")
        assert [(each["event"], each.get("channel")) for each in said] == [("reconnect", "news"), ("reconnect", None)]
        assert all(each["data"] == {"reason": "draining"} and 500 <= each["retry"] <= 3000 for each in said)
        assert "id" not in said[0]
        assert ready["id"]
        code, _, said = idle.closed()
        assert (code, [each["event"] for each in said]) == (1012, ["reconnect"])
        assert server.wait() == 0
        assert "Traceback" not in server.said


def answered_last(kept: Raw) -> bool:
    kept.request("GET", "/health/live")
    head = kept.head()
    kept.read()
    return head.headers.get("connection") == "close"


def test_an_answer_is_watched_to_its_end_before_its_connection_is_closed() -> None:
    with Upstream() as upstream:
        settings = f'[providers.up]\nkind = "anthropic"\nbase_url = "{upstream.url}"\n[chat]\ndefault_model = "up/m"\n'
        with Server(settings) as server, Talk(server.address) as talk, server.connect() as kept:
            upstream.script(Script(fault="stall", after=1))
            talk.ask("subscribe", {"channel": "news"})
            talk.event()
            talk.ask("chat", {"message": "Hi"})
            talk.events("message")
            server.terminate()
            goodbye = talk.event()
            assert (goodbye["event"], goodbye["channel"]) == ("reconnect", "news")
            refused = talk.ask("chat", {"message": "One more"})
            assert (refused["code"], refused["retry_after"]) == ("draining", 1)
            until(lambda: answered_last(kept))  # by now it has been decided which connections are kept
            upstream.resume()
            code, _, said = talk.closed()
            assert [each["event"] for each in said][-3:] == ["finish", "done", "reconnect"]
            assert code == 1012
            assert server.wait() == 0


def test_where_another_instance_stays_answers_go_on_there() -> None:
    with RedisServer() as redis:
        store = f'[server]\ndrain_timeout = 3\n[store]\nurl = "{redis.url}"\n'
        with Server(store) as one, Server(store) as two, Talk(one.address) as talk:
            run = talk.ask("chat", {"message": "Say something long"})["run"]
            first = talk.events("message")
            one.terminate()
            code, _, said = talk.closed()
            assert code == 1012
            shown = [*first, *[each for each in said if each["event"] != "reconnect"]]
            assert [each["data"] for each in said if each["event"] == "reconnect"] == [{"reason": "draining"}] * 2
            with Talk(two.address) as other:
                other.ask("attach", {"run": run, "last_event_id": shown[-1]["id"]})
                verdict, *rest = other.events("done")
                assert verdict["data"] == {"recovered": True, "reason": "ok", "missed": 0}
            ids = [int(each["id"].rpartition("-")[2]) for each in (*shown, *rest)]
            assert ids == list(range(1, len(ids) + 1))


# Handshakes that uvicorn would leave hanging.


@pytest.mark.parametrize(
    "headers",
    [{"content-length": "5"}, {"x-large": "y" * 9000}, {f"x-{number}": "y" for number in range(150)}],
    ids=["with a body", "a large header", "many headers"],
)
def test_a_handshake_that_cannot_be_read_is_refused_at_once(server: Server, headers: dict[str, str]) -> None:
    with server.connect() as raw:
        raw.request("GET", "/ws", {**HANDSHAKE, **headers})
        if "content-length" in headers:
            raw.send(b"hello")
        assert raw.head().status == 400
        assert raw.read().startswith(b"This is no WebSocket handshake")
        with pytest.raises(Ended):
            raw.piece()
