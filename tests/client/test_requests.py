"""Where redirects lead and what goes along."""

from __future__ import annotations

import pytest

from tailrace.client.requests import Request, follow, stream_headers

POST = Request("POST", "https://a.example/api/chat", {"authorization": "s", "content-type": "application/json"}, b"{}")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_body_is_sent_again(status: int) -> None:
    assert follow(POST, status, "/v2") == Request("POST", "https://a.example/v2", POST.headers, b"{}")


def test_303_asks_for_the_result_instead() -> None:
    assert follow(POST, 303, "/result") == Request("GET", "https://a.example/result", {"authorization": "s"})


@pytest.mark.parametrize(
    ("here", "there", "kept"),
    [
        ("https://a.example/", "https://a.example/x", True),
        ("http://a.example/", "https://a.example/", True),
        ("https://a.example/", "http://a.example/", False),
        ("https://a.example/", "https://b.example/", False),
        ("https://a.example/", "https://a.example:8443/", False),
        ("https://a.example/", "//b.example/", False),
    ],
)
def test_a_callers_headers_go_only_to_the_same_host(here: str, there: str, kept: bool) -> None:
    led = follow(Request("GET", here, {"x-api-key": "s", "last-event-id": "e-1"}), 302, there)
    assert led is not None
    assert led.headers["last-event-id"] == "e-1"
    assert ("x-api-key" in led.headers) is kept


def test_an_empty_cursor_is_not_sent() -> None:
    assert "last-event-id" not in stream_headers("")
    assert stream_headers("e-1")["last-event-id"] == "e-1"
