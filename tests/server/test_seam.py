"""The seam to uvicorn: everything that our protocol classes take for granted there.

A failure here means that uvicorn has moved underneath us: read the message, adapt `tailrace.server` (`bounds`,
`exchange`, `protocol`, `lifecycle`), then widen the range in `pyproject.toml`.
"""

from __future__ import annotations

import asyncio
import inspect
import tomllib
from importlib.metadata import version
from typing import Any

import pytest
import uvicorn
from packaging.requirements import Requirement
from uvicorn.config import Config
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import Server, ServerState

from tests.support.server import ROOT

pytestmark = pytest.mark.anyio


class Transport(asyncio.Transport):
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closing = False

    def write(self, data: Any) -> None:
        self.written += data

    def pause_reading(self) -> None:
        """Nothing is read here."""

    resume_reading = pause_reading

    def close(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing


async def protocol_of(app: Any) -> tuple[HttpToolsProtocol, Transport]:
    protocol = HttpToolsProtocol(Config(app, lifespan="off"), ServerState(), {})
    transport = Transport()
    protocol.connection_made(transport)
    return protocol, transport


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.get_running_loop().create_future()


def test_the_installed_uvicorn_is_in_the_range_that_was_looked_at() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (wanted,) = [Requirement(each) for each in project["optional-dependencies"]["server"] if each.startswith("uvicorn")]
    assert version("uvicorn") in wanted.specifier
    assert {each.operator for each in wanted.specifier} == {">=", "<"}, "the range must have an upper end"


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (HttpToolsProtocol, "connection_made", ["transport"]),
        (HttpToolsProtocol, "connection_lost", ["exc"]),
        (HttpToolsProtocol, "data_received", ["data"]),
        (HttpToolsProtocol, "eof_received", []),
        (HttpToolsProtocol, "pause_writing", []),
        (HttpToolsProtocol, "resume_writing", []),
        (HttpToolsProtocol, "handle_websocket_upgrade", []),
        (HttpToolsProtocol, "on_header", ["name", "value"]),
        (HttpToolsProtocol, "_start_asgi_task", ["cycle", "app"]),
        (HttpToolsProtocol, "send_400_response", ["msg"]),
        (HttpToolsProtocol, "on_message_begin", []),
        (HttpToolsProtocol, "on_headers_complete", []),
        (HttpToolsProtocol, "on_message_complete", []),
        (HttpToolsProtocol, "on_response_complete", []),
        (HttpToolsProtocol, "shutdown", []),
        (RequestResponseCycle, "send", ["message"]),
        (RequestResponseCycle, "receive", []),
        (RequestResponseCycle, "run_asgi", ["app"]),
        (FlowControl, "pause_reading", []),
        (FlowControl, "resume_reading", []),
        (FlowControl, "pause_writing", []),
        (FlowControl, "resume_writing", []),
        (WebSocketsSansIOProtocol, "connection_lost", ["exc"]),
        (WebSocketsSansIOProtocol, "data_received", ["data"]),
        (WebSocketsSansIOProtocol, "handle_connect", ["event"]),
        (WebSocketsSansIOProtocol, "handle_parser_exception", []),
        (WebSocketsSansIOProtocol, "pause_writing", []),
        (WebSocketsSansIOProtocol, "resume_writing", []),
        (WebSocketsSansIOProtocol, "send", ["message"]),
        (WebSocketsSansIOProtocol, "send_receive_event_to_app", []),
        (WebSocketsSansIOProtocol, "shutdown", []),
        (Server, "capture_signals", []),
        (Server, "handle_exit", ["sig", "frame"]),
        (Server, "serve", ["sockets"]),
        (Server, "shutdown", ["sockets"]),
    ],
)
def test_what_is_overridden_or_called_exists(owner: type, name: str, parameters: list[str]) -> None:
    found = inspect.signature(getattr(owner, name)).parameters
    assert list(found)[1:] == parameters, f"{owner.__name__}.{name} has changed"


async def test_a_protocol_has_the_attributes_that_are_steered() -> None:
    protocol, _ = await protocol_of(nothing)
    for name in ("app", "app_state", "config", "connections", "flow", "loop", "pipeline", "scheme", "server_state"):
        assert hasattr(protocol, name), f"HttpToolsProtocol.{name} is gone"
    assert vars(protocol)["cycle"] is None, "there is a cycle before the first request"
    assert not protocol.flow.write_paused
    assert not protocol.flow.read_paused
    assert protocol in protocol.connections


async def test_a_cycle_has_the_attributes_that_are_steered() -> None:
    protocol, _ = await protocol_of(nothing)
    protocol.data_received(b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\n")
    cycle = protocol.cycle
    seen = (
        cycle.disconnected,
        cycle.response_started,
        cycle.response_complete,
        cycle.keep_alive,
        cycle.more_body,
        cycle.chunked_encoding,
        cycle.waiting_for_100_continue,
        cycle.expected_content_length,
    )
    assert seen == (False, False, False, True, True, None, False, 0)
    assert callable(cycle.on_response)
    assert not cycle.message_event.is_set()
    assert (cycle.transport, cycle.flow) == (protocol.transport, protocol.flow)
    protocol.data_received(b"12345")
    assert not cycle.more_body
    assert (protocol.url, protocol.headers[0], protocol.scheme) == (b"/", (b"host", b"test"), "http")


async def test_applications_get_bound_methods_of_their_cycle() -> None:
    """`send.__self__` is how the cycle of a request is found."""
    given: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        given.append(send)
        await nothing(scope, receive, send)

    protocol, _ = await protocol_of(nothing)
    protocol.app = application
    protocol.data_received(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
    await asyncio.sleep(0)
    assert given[0].__self__ is protocol.cycle


async def test_a_head_is_one_write_and_asks_the_cycle_for_its_transport() -> None:
    """So a head can be held back by a stand-in for the transport."""
    protocol, transport = await protocol_of(nothing)
    protocol.data_received(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
    stand_in = Transport()
    protocol.cycle.transport = stand_in
    await protocol.cycle.send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
    assert transport.written == b""
    assert stand_in.written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert stand_in.written.endswith(b"a: b\r\ntransfer-encoding: chunked\r\n\r\n")
    assert protocol.cycle.chunked_encoding is True


async def test_a_cycle_that_counts_as_disconnected_sends_nothing_and_completes_nothing() -> None:
    protocol, transport = await protocol_of(nothing)
    protocol.data_received(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
    cycle = protocol.cycle
    cycle.disconnected = True
    await cycle.send({"type": "http.response.body", "body": b"x", "more_body": False})
    assert transport.written == b""
    assert (await cycle.receive())["type"] == "http.disconnect"
    assert not cycle.response_complete


async def test_a_request_behind_an_unfinished_one_waits_in_the_pipeline() -> None:
    """Also behind one that counts as disconnected, and until `on_response_complete` is called."""
    started: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        started.append(scope["path"])

    protocol, _ = await protocol_of(nothing)
    protocol.app = application
    protocol.data_received(b"GET /1 HTTP/1.1\r\nhost: test\r\n\r\n")
    first = protocol.cycle
    first.disconnected = True
    await asyncio.sleep(0)
    protocol.data_received(b"GET /2 HTTP/1.1\r\nhost: test\r\n\r\n")
    await asyncio.sleep(0)
    assert protocol.cycle is not first, "the protocol's cycle is no longer the newest request's"
    assert (started, len(protocol.pipeline)) == (["/1"], 1)
    first.response_complete = True
    protocol.on_response_complete()
    await asyncio.sleep(0)
    assert (started, len(protocol.pipeline)) == (["/1", "/2"], 0)


async def test_an_error_of_a_parser_callback_is_refused_by_send_400_response() -> None:
    class Refusing(HttpToolsProtocol):
        said: str | None = None

        def on_headers_complete(self) -> None:
            raise ValueError("no")

        def send_400_response(self, msg: str) -> None:
            self.said = msg

    protocol = Refusing(Config(nothing, lifespan="off"), ServerState(), {})
    protocol.connection_made(Transport())
    protocol.data_received(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
    assert protocol.said


def test_the_server_keeps_what_leaving_needs() -> None:
    server = Server(Config(nothing))
    assert (server.started, server.should_exit, server.force_exit) == (False, False, False)
    assert server.server_state.connections == set()
    assert server.server_state.tasks == set()
    source = inspect.getsource(uvicorn.Server)
    for relied_on in ("self.servers", "self.lifespan.state", "connection.shutdown()", "self.config.timeout_graceful"):
        assert relied_on in source, f"uvicorn.Server does no longer mention {relied_on}"


def test_our_own_callbacks_are_still_those_of_the_parser() -> None:
    source = inspect.getsource(httptools_impl)
    for callback in ("message_begin", "url", "header", "headers_complete", "body", "message_complete"):
        assert f"def on_{callback}(" in source, f"HttpToolsProtocol has no on_{callback} any more"
