"""What stands in front of all paths: CORS, host names, counting; and what the process says of itself."""

from __future__ import annotations

import pytest

from tests.support.backed import Backed, data_of
from tests.support.server import Server
from tests.support.upstream import Script

APP = {"origin": "https://app.example"}
STREAM = {"accept": "text/event-stream"}


# CORS.


@pytest.mark.parametrize("path", ["/api/chat", "/api/chat/x", "/events/x", "/v1/responses"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_preflight_of_an_allowed_page_lets_it_send_what_our_clients_send(
    backed: Backed, path: str, method: str
) -> None:
    asked = "last-event-id,idempotency-key,authorization,x-api-key,content-type,user-agent,x-stainless-retry-count"
    headers = {**APP, "access-control-request-method": method, "access-control-request-headers": asked}
    answer = backed.server.ask("OPTIONS", path, headers)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == APP["origin"]
    assert method in answer.headers["access-control-allow-methods"]
    allowed = answer.headers["access-control-allow-headers"].lower().replace(" ", "").split(",")
    assert set(asked.split(",")) <= set(allowed)
    assert int(answer.headers["access-control-max-age"]) > 0


def test_a_preflight_of_another_page_is_refused(backed: Backed) -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    answer = backed.server.ask("OPTIONS", "/api/chat", headers)
    assert answer.status == 400
    assert "access-control-allow-origin" not in answer.headers


def test_an_allowed_page_may_read_the_headers_that_it_needs(backed: Backed) -> None:
    with backed.server.connect() as raw:
        raw.request("POST", "/api/chat", APP, {"message": "Hi"})
        headers = raw.head().headers
    assert headers["access-control-allow-origin"] == APP["origin"]
    exposed = headers["access-control-expose-headers"].lower().replace(" ", "").split(",")
    assert {"tailrace-run", "tailrace-heartbeat", "retry-after"} <= set(exposed)
    assert backed.server.ask("POST", "/api/chat", APP, b"{").headers["access-control-allow-origin"] == APP["origin"]


def test_a_page_that_is_not_allowed_cannot_read_an_answer(backed: Backed) -> None:
    answer = backed.server.ask("GET", "/api/chat/x", {**STREAM, "origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


# Host names.


def test_only_the_host_names_that_are_configured_are_answered() -> None:
    with Server('[server]\nallowed_hosts = ["stream.example", "*.below.example"]\n') as server:
        for host in ("stream.example", "STREAM.example:8000", "a.below.example", "a.b.below.example:1"):
            assert server.ask("GET", "/health", {"host": host}).status == 200
        for host in ("", "evil.example", "below.example", "xbelow.example", "stream.example.evil", "a@stream.example"):
            answer = server.ask("GET", "/health", {"host": host})
            assert (answer.status, answer.json()["code"]) == (400, "unknown_host")
            for path, dialect in (
                ("/v1/messages", "anthropic"),
                ("/v1/chat/completions", "openai"),
                ("/v1/x", "openai"),
            ):
                error = server.ask("POST", path, {"host": host}, {}).json()["error"]
                assert error["type"] == "invalid_request_error"
                assert error.get("code") == ("unknown_host" if dialect == "openai" else None)


def test_no_name_that_others_own_leads_to_a_server_for_this_machine_alone(backed: Backed) -> None:
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:1", "[::1]:1", "192.0.2.7", "app.localhost", "tailrace", ""):
        assert backed.server.ask("GET", "/health", {"host": host}).status == 200
    for host in ("evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example", "ai.", "[::1].evil.example"):
        answer = backed.server.ask("GET", "/health", {"host": host})
        assert (answer.status, answer.json()["code"]) == (400, "unknown_host")


def test_probes_of_balancers_are_answered_under_any_name() -> None:
    """They ask each instance by its address, or by no name."""
    with Server('[server]\nallowed_hosts = ["stream.example"]\n') as server:
        for path in ("/health/live", "/health/ready"):
            assert [server.ask("GET", path, {"host": host}).status for host in ("", "10.0.0.7:8000")] == [200, 200]


def test_a_server_that_is_open_to_others_has_names_that_it_does_not_know() -> None:
    with Server(arguments=["--host", "0.0.0.0"]) as server:
        server.wait_said("0.0.0.0 is open to others")
        server.host = "127.0.0.1"
        assert server.ask("GET", "/health/live", {"host": "stream.example"}).status == 200


# Silence.


def test_a_silent_stream_has_a_heartbeat_that_no_client_takes_for_an_event() -> None:
    with Server("[server]\nheartbeat = 0.3\n") as server, server.connect() as raw:
        raw.request("GET", "/events/silent")
        assert raw.head().headers["tailrace-heartbeat"] == "0.3"
        raw.event()
        raw.body.clear()
        while len(raw.body) < 30:
            raw.piece()
        assert raw.body == b":heartbeat\n" * 3
        server.publish("silent", "news")
        assert raw.event().data == "news"


# The process.


def test_health_counts_what_is_going_on(backed: Backed) -> None:
    before = backed.server.health()
    backed.up.script(Script(fault="stall", after=1), Script(usage=(3, 40)))
    with backed.ask() as raw, backed.server.open("GET", "/events/health") as reader:
        run = data_of(raw.event())["run"]
        reader.event()
        now = backed.server.health()
        assert now["active_runs"] == before["active_runs"] + 1
        assert now["active_streams"] >= before["active_streams"] + 2
        assert now["subscribers"] == before["subscribers"] + 1
        backed.cancel(run)
    with backed.ask() as raw:
        raw.rest()
    after = backed.server.health()
    assert after["total_tokens"] >= before["total_tokens"] + 40
    assert after["total_requests"] > before["total_requests"]
    assert after["failed_requests"] == before["failed_requests"]
    assert after["uptime_seconds"] >= before["uptime_seconds"]
    assert after["memory_mb"] > 1
    assert (after["status"], after["store"]) == ("healthy", "memory")


def test_a_failed_answer_is_a_failed_request(backed: Backed) -> None:
    before = backed.server.health()["failed_requests"]
    backed.up.script(Script(status=400))
    with backed.ask() as raw:
        raw.rest()
    assert backed.server.health()["failed_requests"] == before + 1


def test_a_supervisor_and_a_balancer_have_paths_of_their_own(backed: Backed) -> None:
    for path, status in (("/health/live", "live"), ("/health/ready", "ready")):
        answer = backed.server.ask("GET", path)
        assert (answer.status, answer.json()) == (200, {"status": status})
