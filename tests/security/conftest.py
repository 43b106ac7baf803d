"""The servers that are attacked: one that believes everybody, and one that wants to know who is calling."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.identities import Guarded
from tests.support.server import Server


@pytest.fixture(scope="session")
def opened() -> Iterator[Server]:
    with Server("[server]\nmax_body = 1000000\n") as server:
        yield server


@pytest.fixture
def server(opened: Server) -> Iterator[Server]:
    """A server without credentials; after the test it must still be well."""
    yield opened
    _check(opened)


@pytest.fixture(scope="session")
def closed() -> Iterator[Guarded]:
    with Guarded() as guarded:
        yield guarded


@pytest.fixture
def guarded(closed: Guarded) -> Iterator[Guarded]:
    """A server that requires credentials; after the test it must still be well."""
    yield closed
    _check(closed.server)


def _check(server: Server) -> None:
    assert server.ask("GET", "/health/live").status == 200
    assert "Traceback" not in server.said
