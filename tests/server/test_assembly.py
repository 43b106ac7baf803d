"""What the settings say reaches the parts that do it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from tailrace.log import Retention
from tailrace.server.assembly import assemble
from tailrace.server.lifecycle import config_of
from tailrace.server.settings import Settings, load
from tailrace.testing import Harness
from tailrace.web.health import RequestCounter
from tailrace.web.identity import whoever
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

FILE = """
[server]
heartbeat = 3
write_timeout = 7
drain_timeout = 9
trusted_proxies = ["10.1.2.3/8", "::1"]
[chat]
grace = 0.1
max_run_bytes = 5000
max_ahead = 70000
keep_ended = 60
[channels]
history_events = 12
history_bytes = 3456
history_age = 78
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    file = tmp_path / "tailrace.toml"
    file.write_text(FILE)
    return load(file, {}, {})


async def test_times_and_bounds_are_handed_on(settings: Settings) -> None:
    tailrace, _ = assemble(settings)
    options = tailrace.options
    assert (options.heartbeat, options.write_timeout, options.drain_timeout) == (3, 7, 9)
    assert (options.grace, options.max_run_bytes, options.keep_ended) == (0.1, 5000, 60)
    assert tailrace.run_options().max_ahead == 70_000
    assert options.history == Retention(12, 3456, 78)
    assert tailrace.hub.options.history == options.history


def test_proxies_are_handed_on(settings: Settings) -> None:
    config = config_of("json:loads", settings)
    assert config.proxy_headers
    assert config.forwarded_allow_ips == ["10.0.0.0/8", "::1"]
    assert not config_of("json:loads", Settings()).proxy_headers


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.9.9.9", "198.51.100.1", "198.51.100.1"),
        ("10.9.9.9", "203.0.113.9, 198.51.100.1, 10.3.3.3", "198.51.100.1"),
        ("::1", "10.0.0.1, ::1", "10.0.0.1"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
        ("11.0.0.1", "203.0.113.9", "11.0.0.1"),
    ],
)
async def test_an_address_is_the_last_one_that_a_trusted_proxy_vouches_for(
    settings: Settings, peer: str, forwarded: str, address: str
) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(whoever(scope).address)

    headers = [(b"x-forwarded-for", forwarded.encode())]
    scope: Any = {"type": "http", "client": (peer, 1), "headers": headers}
    trusted = config_of("json:loads", settings).forwarded_allow_ips
    await ProxyHeadersMiddleware(app, trusted)(scope, None, None)  # type: ignore[arg-type]
    assert seen == [address]


@pytest.mark.parametrize("asked", [{}, {"grace": 600}])
async def test_the_grace_of_the_settings_holds_and_caps_what_a_request_asks(
    settings: Settings, asked: dict[str, Any]
) -> None:
    tailrace, app = assemble(settings)
    body = json.dumps({"message": "Write a long essay.", **asked}).encode()
    async with Harness(app) as harness:
        async with harness.stream("POST", "/api/chat", body=body) as answer:
            run = answer.headers["tailrace-run"]
            await answer.event()
        await eventually(lambda: run not in tailrace.runs.live)
        state = await harness.ask("GET", f"/api/chat/{run}", headers={"accept": "application/json"})
    assert json.loads(state.body)["status"] == "cancelled"
    assert json.loads(state.body)["error"]["type"] == "caller_gone"


@pytest.mark.parametrize(
    ("path", "status", "failed"),
    [("/x", 200, 0), ("/x", 404, 0), ("/x", 500, 1), ("/x", 503, 1), ("/health/ready", 503, 0)],
)
async def test_what_failed_here_is_counted_and_a_probe_that_is_told_no_is_not(
    settings: Settings, path: str, status: int, failed: int
) -> None:
    tailrace, _ = assemble(settings)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (told := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{told['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with Harness(RequestCounter(app, tailrace)) as harness:
        await harness.ask("GET", path)
    assert (tailrace.counters["requests"], tailrace.counters["requests.failed"]) == (1, failed)
