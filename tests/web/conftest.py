"""One server, and one upstream behind it, for all tests of the HTTP interface."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.backed import Backed


@pytest.fixture(scope="session")
def _running() -> Iterator[Backed]:
    with Backed() as running:
        yield running


@pytest.fixture
def backed(_running: Backed) -> Iterator[Backed]:
    """The running server, its upstream's script begun anew; after the test it must still be well."""
    _running.forget()
    yield _running
    assert _running.server.ask("GET", "/health").status == 200
    assert "Traceback" not in _running.server.said
