"""Which of a caller's headers a provider gets to see, through the real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.gateway import BODIES, OWN_KIND, PATHS, Gatewayed
from tests.support.sdks import DIALECTS

TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "vendor=1"}
SENT = {
    **TRACE,
    "anthropic-version": "2023-01-01",
    "anthropic-beta": "one,two",
    "openai-beta": "three",
    "openai-organization": "theirs",
    "authorization": "Bearer theirs",
    "x-api-key": "theirs",
    "cookie": "session=theirs",
    "x-forwarded-for": "192.0.2.1",
}
OWN = {
    "openai-chat": {"openai-beta": "three"},
    "openai-responses": {"openai-beta": "three"},
    "anthropic": {"anthropic-version": "2023-01-01", "anthropic-beta": "one,two"},
}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gatewayed]:
    """The gateway."""
    with Gatewayed() as running:
        yield running


def asked_with(gateway: Gatewayed) -> dict[str, str]:
    """The headers of the only request that the upstream got, without those that each request has."""
    (seen,) = gateway.seen
    return {name: value for name, value in seen.headers.items() if name not in _EACH}


_EACH = {"host", "user-agent", "content-type", "content-length", "accept", "accept-encoding", "connection"}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_provider_of_the_callers_dialect_gets_its_headers_and_the_trace(gateway: Gatewayed, dialect: str) -> None:
    gateway.forget()
    assert gateway.ask(dialect, OWN_KIND[dialect], SENT).status == 200
    assert asked_with(gateway) == OWN[dialect] | TRACE


@pytest.mark.parametrize("dialect", DIALECTS)
def test_another_kind_gets_the_trace_alone(gateway: Gatewayed, dialect: str) -> None:
    gateway.forget()
    other = "anthropic" if dialect != "anthropic" else "openai"
    assert gateway.ask(dialect, other, SENT).status == 200
    own = {"anthropic-version": "2023-06-01"} if other == "anthropic" else {}
    assert asked_with(gateway) == own | TRACE


def test_a_native_callers_trace_goes_on_and_without_one_nothing_does(gateway: Gatewayed) -> None:
    for headers, expected in ((SENT, TRACE), ({}, {})):
        gateway.forget()
        gateway.server.ask("POST", "/api/chat", headers, {"message": "Hi", "model": "openai"})
        assert asked_with(gateway) == expected


@pytest.mark.parametrize("dialect", DIALECTS)
def test_without_any_of_them_the_provider_gets_its_usual_ones(gateway: Gatewayed, dialect: str) -> None:
    gateway.forget()
    assert gateway.ask(dialect, OWN_KIND[dialect]).status == 200
    assert asked_with(gateway) == ({"anthropic-version": "2023-06-01"} if dialect == "anthropic" else {})


def test_a_header_that_cannot_go_on_is_refused_in_the_dialects_own_shape(gateway: Gatewayed) -> None:
    gateway.forget()
    body = {"model": "anthropic", **BODIES["anthropic"]}
    answer = gateway.server.ask("POST", PATHS["anthropic"], {"anthropic-beta": "h\u00e9"}, body)
    assert answer.status == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert "anthropic-beta" in answer.json()["error"]["message"]
    assert not gateway.seen
