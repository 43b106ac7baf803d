"""`/metrics` of the real server: what happened is counted, for all of its processes, and never taken back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from tailrace.access.keys import hash_of, new_key
from tests.support.hosted import until
from tests.support.redis import RedisServer
from tests.support.scrape import Scrape, scrape
from tests.support.scripted import refused_url
from tests.support.server import Server
from tests.support.upstream import Script, Upstream

ASK = {"message": "Hi"}
SETTINGS = """
[chat]
default_model = "smart"
[providers.up]
kind = "anthropic"
base_url = "{url}"
timeouts = {{ connect = 2, first_token = 2, idle = 2, total = 20 }}
[providers.down]
kind = "openai"
base_url = "{refusing}"
[models.smart]
retries = 0
targets = [ {{ provider = "down", model = "d" }} ]
fallback = [ {{ provider = "up", model = "m" }} ]
"""


def settings_of(upstream: Upstream) -> str:
    return SETTINGS.format(url=upstream.url, refusing=refused_url())


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def test_an_answer_is_counted_from_its_first_try_to_its_last_token(upstream: Upstream) -> None:
    with Server(settings_of(upstream)) as server:
        upstream.default = Script(pieces=("Hel", "lo"))
        assert server.ask("POST", "/api/chat", body=ASK).status == 200
        figures = scrape(server)
        assert figures["tailrace_upstream_attempts_total", "provider=down", "outcome=provider_unreachable"] == 1
        assert figures["tailrace_upstream_attempts_total", "provider=up", "model=m", "outcome=answered"] == 1
        assert figures["tailrace_upstream_failovers_total", "provider=down"] == 1
        assert figures["tailrace_first_token_seconds_count", "provider=up"] == 1
        assert figures["tailrace_tokens_total", "direction=output", "provider=up"] > 0
        assert figures["tailrace_runs_ended_total", "status=finished", "error="] == 1
        assert figures["tailrace_streams_ended_total", "dialect=native", "outcome=ended"] == 1
        assert figures["tailrace_upstream_breakers", "provider=up", "state=closed"] == 1
        assert figures["tailrace_upstream_breakers", "provider=up", "state=open"] == 0
        answer = server.ask("GET", "/api/chat/none?last_event_id=none-5")
        assert answer.status == 404
        # Each dialect has a name of its own.
        body = {"model": "smart", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
        assert server.ask("POST", "/v1/chat/completions", body=body).status == 200
        assert scrape(server)["tailrace_streams_ended_total", "dialect=openai-chat", "outcome=ended"] == 1


def test_what_callers_send_is_in_no_label(upstream: Upstream) -> None:
    upstream.default = Script(status=404)
    with Server(settings_of(upstream)) as server:
        for number in range(5):
            server.ask("POST", "/api/chat", body={**ASK, "model": f"up/secret-{number}"})
            server.ask("GET", f"/events/secret-{number}?event=secret", {"Accept": "application/json"})
        figures = scrape(server)
        assert figures.values("tailrace_upstream_attempts_total", "model") == {"other"}
        assert "secret" not in server.ask("GET", "/metrics").body.decode()


def test_channels_readers_and_their_resumes_are_counted() -> None:
    with Server() as server:
        with server.open("GET", "/events/news") as raw:
            raw.event()
            first = server.publish("news", "one")
            raw.event()
            assert scrape(server)["tailrace_streams_open", "dialect=events"] == 1
        until(lambda: scrape(server)["tailrace_streams_ended_total", "outcome=gone"] == 1)
        for cursor in (first, "nonsense", "abcdef-7"):
            with server.open("GET", "/events/news", {"Last-Event-ID": cursor}) as raw:
                raw.event()
        figures = scrape(server)
        assert figures["tailrace_publish_delay_seconds_count"] == 1
        assert figures["tailrace_publish_delay_seconds_sum"] < 5
        resumes = {
            each: figures["tailrace_resumes_total", f"verdict={each}"] for each in ("ok", "malformed", "unknown")
        }
        assert resumes == {"ok": 1, "malformed": 1, "unknown": 1}
        assert figures["process_resident_memory_bytes"] > 10_000_000
        assert figures["tailrace_http_requests_failed_total"] == 0


def test_openmetrics_is_given_to_who_accepts_it_and_nothing_is_kept_on_the_way() -> None:
    with Server() as server:
        answer = server.ask("GET", "/metrics", {"Accept": "application/openmetrics-text; version=1.0.0, */*;q=0.5"})
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert answer.body.endswith(b"# EOF\n")
        assert answer.headers["cache-control"] == "no-store"


def test_where_credentials_are_required_it_takes_one_that_may_read_metrics() -> None:
    scraper, asker = new_key(), new_key()
    keys = [
        f'{{ name = "{name}", hash = "{hash_of(key)}", scopes = ["{name}"] }}'
        for name, key in (("metrics", scraper), ("chat", asker))
    ]
    with Server(f"[auth]\nrequired = true\nkeys = [ {', '.join(keys)} ]\n") as server:
        assert server.ask("GET", "/metrics").status == 401
        assert server.ask("GET", "/metrics", {"Authorization": f"Bearer {asker}"}).status == 403
        answer = server.ask("GET", "/metrics", {"Authorization": f"Bearer {scraper}"})
        assert (answer.status, b"tailrace_processes 1.0" in answer.body) == (200, True)


def fallen(before: Scrape, after: Scrape) -> dict[tuple[str, ...], tuple[float, float]]:
    new = after.rising()
    return {key: (value, new.get(key, 0)) for key, value in before.rising().items() if new.get(key, 0) < value - 1e-6}


def test_the_workers_speak_for_all_and_neither_a_reload_nor_a_crash_takes_anything_back() -> None:
    with RedisServer() as redis, Server(arguments=["--store", redis.url, "--workers", "2"]) as server:
        for number in range(12):
            server.publish("news", number)
        before, health = scrape(server), server.health()
        assert before["tailrace_processes"] == 2
        assert before["tailrace_store_operation_seconds_count", "operation=publish"] == 12
        supervisor = psutil.Process(server.pid)
        old = {child.pid for child in supervisor.children()}
        server.signal(signal.SIGHUP)
        server.wait_said("reloaded")
        until(lambda: not old & {child.pid for child in supervisor.children()})
        for _ in range(4):  # whoever is asked
            reloaded = scrape(server)
            assert not fallen(before, reloaded)
            assert reloaded["tailrace_store_operation_seconds_count", "operation=publish"] == 12
        victim = supervisor.children()[0].pid
        scrape(server)
        os.kill(victim, signal.SIGKILL)
        until(lambda: len({child.pid for child in supervisor.children()} - {victim}) == 2)
        until(lambda: scrape(server)["tailrace_processes"] == 2)
        assert not fallen(reloaded, scrape(server))
        assert server.health()["total_requests"] > health["total_requests"]
