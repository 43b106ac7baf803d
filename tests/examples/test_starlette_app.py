"""The Starlette example and the Python client, as a reader would start them."""

from __future__ import annotations

import select
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.hosted import until
from tests.support.served import RUNNERS, served
from tests.support.server import ROOT, Server


@pytest.fixture(scope="module", params=RUNNERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with served(request.param, "examples.starlette_app:app") as server:
        yield server


def test_the_page_follows_the_channel(server: Server) -> None:
    page = server.ask("GET", "/")
    assert page.status == 200
    assert b'new EventSource("/news")' in page.body
    with server.open("GET", "/news") as raw:
        raw.event()
        assert server.ask("POST", "/news", body="it is news").status == 200
        assert raw.event().data == "it is news"


def test_head_of_a_stream_begins_none(server: Server) -> None:
    assert server.ask("HEAD", "/news").status == 405


def test_the_python_client_prints_what_is_published(server: Server) -> None:
    """A run of the five lines of `examples/client.py`."""
    command = [sys.executable, "examples/client.py", server.url, "/news"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        try:
            said: list[str] = []
            until(lambda: server.ask("POST", "/news", body="x").status == 200 and knock(client, said))
            assert "x" in said[0]
        finally:
            client.kill()


def knock(client: subprocess.Popen[str], said: list[str]) -> bool:
    """Whether the client has printed a line; it is published until there is one, since it begins live."""
    assert client.stdout is not None
    if select.select([client.stdout], [], [], 0.1)[0]:
        said.append(client.stdout.readline())
    return bool(said)
