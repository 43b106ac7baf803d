"""What is read out of a refusal."""

from __future__ import annotations

import pytest

from tailrace.client.problems import refusal, retry_after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Fri, 20 Nov 2026 10:00:30 GMT", "date": "Fri, 20 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Fri, 20 Nov 2026 09:00:30 GMT", "date": "Fri, 20 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 20 Nov 2026 10:00:30 GMT"}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_by_the_servers_clock(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"code":1,"detail":2}', b"\xff"])
def test_a_refusal_without_a_problem_is_named_by_its_status(body: bytes) -> None:
    error = refusal(404, {}, body, "http://there/x")
    assert (error.code, error.detail) == ("http_404", "not found (http://there/x)")


def test_a_status_that_nobody_knows_is_told_too() -> None:
    assert str(refusal(599, {}, b"", "http://there/x")) == "599 http_599: no reason was given (http://there/x)"
