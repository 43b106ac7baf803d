"""Real proxies, set up by the files of deploy/: events pass at once, silence and kills are survived, an end arrives."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from statistics import median
from typing import Any

import pytest

from tests.support.caddy import caddy, caddy_with
from tests.support.fleet import CHAOS, STREAM, Fleet
from tests.support.haproxy import haproxy, haproxy_with
from tests.support.hosted import Hosted, until
from tests.support.nginx import nginx, nginx_with
from tests.support.ports import free_port
from tests.support.proxy import Address
from tests.support.raw import Raw, ask
from tests.support.server import Server
from tests.support.survivor import Crowd, Survivor
from tests.support.upstream import Script, Upstream
from tests.support.websocket import Talk

PROXIES = [nginx, haproxy, caddy]
Proxy = Callable[[Sequence[Address]], AbstractContextManager[Address]]

SETTINGS = """
[server]
heartbeat = {heartbeat}
[chat]
default_model = "up/m"
grace = 0
[providers.up]
kind = "anthropic"
base_url = "{upstream}"
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(Script(pieces=("word ",) * 400, delay=0.05)) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def server(upstream: Upstream) -> Iterator[Server]:
    with Server(SETTINGS.format(heartbeat=0.5, upstream=upstream.url)) as server:
        yield server


@pytest.fixture(scope="module")
def fronts(server: Server) -> Iterator[dict[str, Address]]:
    """Each proxy in front of an instance that is there, and one that is not."""
    with ExitStack() as stack:
        instances = [server.address, ("127.0.0.1", free_port())]
        yield {each.__name__: stack.enter_context(each(instances)) for each in PROXIES}


@pytest.fixture(params=[each.__name__ for each in PROXIES])
def front(fronts: dict[str, Address], request: pytest.FixtureRequest) -> Address:
    return fronts[request.param]


def one_by_one(front: Address, server: Server, headers: dict[str, str] | None = None) -> str:
    """Publish each event only when the one before it has arrived, and at once; how the stream was encoded."""
    with Raw(front) as raw:
        raw.request("GET", "/events/ticks", {**STREAM, **(headers or {})})
        head = raw.head()
        coding = head.headers.get("content-encoding", "identity")
        plain = zlib.decompressobj(47).decompress if coding == "gzip" else bytes
        arrived = bytearray()

        def read_on(mark: bytes) -> None:
            while mark not in arrived:
                arrived.extend(plain(raw.piece()))

        read_on(b"event: ready")
        took = []
        for number in range(20):
            begun = time.monotonic()
            server.publish("ticks", f"tick {number}.")
            read_on(f"tick {number}.".encode())
            took.append(time.monotonic() - begun)
        # Half of them: a machine that is busy with other tests may stop for longer than that, but not every time.
        assert median(took) < 0.15, took
        return coding


def test_events_arrive_one_by_one(front: Address, server: Server) -> None:
    assert one_by_one(front, server) == "identity"


@pytest.mark.parametrize("proxy", ["nginx", "nginx for all types", "haproxy", "caddy"])
def test_compression_in_the_proxy_holds_no_event_back(server: Server, proxy: str) -> None:
    """With compression set up as usual; no-transform does not keep each proxy from it, and those that do it flush."""
    usual: dict[str, AbstractContextManager[Any]] = {
        "nginx": nginx_with(server.address, {"a": {"gzip": "on"}}),
        "nginx for all types": nginx_with(server.address, {"a": {"gzip": "on", "gzip_types": "*"}}),
        "haproxy": haproxy_with(server.address, "option http-no-delay", "compression algo gzip"),
        "caddy": caddy_with(server.address, beside="encode gzip"),
    }
    with usual[proxy] as where:
        coding = one_by_one(where["a"] if isinstance(where, dict) else where, server, {"accept-encoding": "gzip"})
    assert coding == {"nginx for all types": "gzip"}.get(proxy, "identity")


def test_a_client_that_leaves_is_noticed_by_the_model_behind_the_proxy(front: Address, upstream: Upstream) -> None:
    asked = len(upstream.seen)
    with Raw(front) as raw:
        raw.request("POST", "/api/chat", STREAM, {"message": "Hi"})
        assert raw.head().status == 200
        assert [event.event for event in raw.events(2)] == ["start", "message"]
    upstream.wait_for(lambda seen: seen[asked].aborted_at is not None, 10)


def test_a_page_of_the_proxys_address_talks_over_a_websocket_through_it(front: Address) -> None:
    with Talk(front, {"origin": f"http://{front[0]}:{front[1]}"}) as talk:
        talk.ask("subscribe", {"channel": "talk"})
        assert talk.event()["event"] == "ready"
        assert talk.ask("publish", {"channel": "talk", "data": {"n": 1}})["type"] == "published"
        assert talk.event()["data"] == {"n": 1}


def test_silence_longer_than_the_proxys_timeout_is_survived(server: Server) -> None:
    """Scaled: heartbeats each half second, timeouts of two. Caddy has none. The full minute is in `make chaos`."""
    with (
        nginx([server.address], proxy_read_timeout="2s") as a,
        haproxy([server.address], quiet="2s") as b,
        caddy([server.address]) as c,
    ):
        quiet(server, [a, b, c], 5)


@pytest.mark.skipif(not CHAOS, reason="takes 65 s; make chaos")
def test_65_seconds_of_silence_survive_the_timeouts_as_they_are(upstream: Upstream) -> None:
    with Server(SETTINGS.format(heartbeat=15, upstream=upstream.url)) as server, ExitStack() as stack:
        quiet(server, [stack.enter_context(each([server.address])) for each in PROXIES], 65)


def quiet(server: Server, fronts: Sequence[Address], seconds: float) -> None:
    """Read through each proxy in which nothing is said for so long, and then something."""
    with ExitStack() as stack:
        readers = [stack.enter_context(Raw(front, timeout=30)) for front in fronts]
        for raw in readers:
            raw.request("GET", "/events/quiet", STREAM)
            assert raw.head().status == 200
            assert raw.event().event == "ready"
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            # The other readers' heartbeats are in the kernel meanwhile.
            assert readers[0].piece().strip(b"\n") == b":heartbeat"
        server.publish("quiet", "at last")
        assert [raw.event().data for raw in readers] == ["at last"] * len(readers)
        assert all(raw.body.count(b":heartbeat\n") >= 2 for raw in readers)


def test_instances_that_answer_to_one_name_alone_are_found_by_the_proxys_checks(upstream: Upstream) -> None:
    settings = SETTINGS.format(heartbeat=1, upstream=upstream.url).replace(
        "[chat]", 'allowed_hosts = ["a.example"]\n[chat]'
    )
    with Server(settings) as server, ExitStack() as stack:
        for each in PROXIES:
            front = stack.enter_context(each([server.address]))
            assert ask(front, "GET", "/health", {"host": "a.example"}).status == 200
            assert ask(front, "GET", "/health", {"host": "b.example"}).json()["code"] == "unknown_host"


# Instances that die.


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """One instance that stays, and one for each proxy, which is killed."""
    with Fleet(1 + len(PROXIES)) as fleet:
        yield fleet


@pytest.mark.parametrize("number", range(len(PROXIES)), ids=[each.__name__ for each in PROXIES])
def test_readers_come_back_through_the_proxy_and_miss_nothing_when_an_instance_is_killed(
    fleet: Fleet, number: int
) -> None:
    staying, killed, channel = fleet.instances[0], fleet.instances[1 + number], f"news-{number}"
    with PROXIES[number]([staying.address, killed.address]) as front, Crowd() as crowd:
        readers = [crowd.add(Survivor.subscribing([front], channel)) for _ in range(6)]
        until(lambda: all(each.events for each in readers))
        published = [staying.publish(channel, "before")]
        until(lambda: all(each.ids[-1] == published[0] for each in readers))
        fleet.kill(killed)
        published += [staying.publish(channel, f"after {count}") for count in range(20)]
        until(lambda: all(each.ids[-1] == published[-1] for each in readers), 20)
        assert [each.ids[1:] for each in readers] == [published] * len(readers)
        assert [each.troubles for each in readers] == [[]] * len(readers)
        assert sum([bool(each.cuts) for each in readers]) > 0, "nobody was on the instance that was killed"


async def refusing(scope: Any, receive: Any, send: Any) -> None:
    """An instance that can do nothing at the moment, and says so in words of its own."""
    well = scope["type"] == "http" and scope["path"].startswith("/health")
    if scope["type"] == "http":
        kind = [(b"content-type", b"application/problem+json"), (b"retry-after", b"7")]
        await send({"type": "http.response.start", "status": 200 if well else 503, "headers": kind})
        await send({"type": "http.response.body", "body": b'{"code":"store_unavailable"}'})


@pytest.fixture(scope="module", params=["dead", "unable"])
def without(request: pytest.FixtureRequest) -> Iterator[tuple[str, dict[str, Address]]]:
    """Each proxy in front of two instances that are dead, or that answer 503."""
    with ExitStack() as stack:
        hosted = stack.enter_context(Hosted(refusing, lifespan="off"))
        with ExitStack() as proxies:
            fronts = {each.__name__: proxies.enter_context(each([hosted.address] * 2)) for each in PROXIES}
            if request.param == "dead":
                stack.close()
            yield request.param, fronts


@pytest.mark.parametrize("proxy", [each.__name__ for each in PROXIES])
class TestNobodyAnswers:
    def test_an_event_source_is_told_when_to_come_back(self, without: Any, proxy: str) -> None:
        for path in ("/events/news", "/api/chat/some-run", "/api/chat?message=hi&key=k"):
            answer = ask(without[1][proxy], "GET", path, STREAM)
            assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
            retry, *block = answer.body.decode().splitlines()
            assert retry.startswith("retry: ")
            assert 1000 <= int(retry.removeprefix("retry: ")) <= 5000
            assert block == ["event: reconnect", 'data: {"reason":"unavailable"}', ""]

    @pytest.mark.parametrize(
        ("method", "path", "headers"),
        [
            ("POST", "/api/chat", {**STREAM}),
            ("POST", "/api/chat", {"idempotency-key": "k"}),
            ("GET", "/events/news", {"accept": "application/json"}),
        ],
    )
    def test_other_clients_are_told_so_by_a_problem(
        self, without: Any, proxy: str, method: str, path: str, headers: dict[str, str]
    ) -> None:
        answer = ask(without[1][proxy], method, path, headers, {"message": "Hi"} if method == "POST" else b"")
        assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
        code, wait = ("store_unavailable", "7") if without[0] == "unable" else ("unavailable", "2")
        assert (answer.json()["code"], answer.headers["retry-after"]) == (code, wait)

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/v1/chat/completions"),
            ("POST", "/v1/messages"),
            ("GET", "/v1/responses/x?stream=true"),
        ],
    )
    def test_sdks_are_told_so_by_a_status_and_json(self, without: Any, proxy: str, method: str, path: str) -> None:
        answer = ask(without[1][proxy], method, path, STREAM, {"model": "m"} if method == "POST" else b"")
        assert answer.status in {502, 503}
        if without[0] == "dead":
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()["error"]["message"] == "No instance answers; try again."
            assert answer.json()["type"] == "error"
        else:
            assert answer.json() == {"code": "store_unavailable"}
