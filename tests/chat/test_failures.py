"""What an upstream's failures mean."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from tailrace.chat import failures
from tailrace.errors import ErrorType


@pytest.mark.parametrize(
    ("status", "type_", "retryable"),
    [
        (400, ErrorType.PROVIDER_REJECTED, False),
        (401, ErrorType.PROVIDER_AUTH, False),
        (403, ErrorType.PROVIDER_AUTH, False),
        (404, ErrorType.PROVIDER_REJECTED, False),
        (413, ErrorType.PROVIDER_REJECTED, False),
        (429, ErrorType.PROVIDER_RATE_LIMITED, True),
        (500, ErrorType.PROVIDER_FAILED, True),
        (502, ErrorType.PROVIDER_FAILED, True),
        (503, ErrorType.PROVIDER_OVERLOADED, True),
        (529, ErrorType.PROVIDER_OVERLOADED, True),
        (204, ErrorType.PROVIDER_MALFORMED, False),
        (307, ErrorType.PROVIDER_REJECTED, False),
    ],
)
def test_each_status_has_its_type(status: int, type_: ErrorType, retryable: bool) -> None:
    error = failures.refused(status, {}, b"")
    assert (error.type, error.retryable, error.status) == (type_, retryable, status)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"type": "error", "error": {"type": "x", "message": "too many tokens"}}', ": too many tokens"),
        (b'{"error": "flat"}', ": flat"),
        (b'{"message": "top"}', ": top"),
        (b'{"detail": "fastapi"}', ": fastapi"),
        (b"plain words", ": plain words"),
        (b"<html><body>502</body></html>", ""),
        (b"", ""),
        (b"[1, 2]", ""),
        (b'{"error": {"message": null}}', ""),
        (b"\xff\xfe", ": \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_the_message_carries_the_providers_own_words_where_it_has_any(body: bytes, said: str) -> None:
    assert failures.refused(400, {}, body).message == f"the provider answered HTTP 400{said}"


@pytest.mark.parametrize(
    ("content_type", "body", "message"),
    [
        ("text/html", b"<html>", "the provider sent text/html where an event stream was expected"),
        (
            "application/json",
            b'{"error": {"message": "no such model"}}',
            "the provider sent application/json where an event stream was expected: no such model",
        ),
    ],
)
def test_an_answer_that_is_no_stream_is_malformed_and_keeps_what_it_says(
    content_type: str, body: bytes, message: str
) -> None:
    error = failures.no_stream(content_type, body)
    assert (error.type, error.message) == (ErrorType.PROVIDER_MALFORMED, message)


def test_a_long_message_is_cut_after_the_key_was_taken_out() -> None:
    clean = failures.presentable("x" * 490 + "secret-of-mine" + "y" * 60_000, "secret-of-mine")
    assert clean == "x" * 490 + "[key]yyyyy…"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "Retry-After": "7"}, 1.5),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "1e9999"}, None),
        ({"Retry-After": "Sun, 06 Nov 99999999999999999999 08:49:37 GMT"}, None),
        ({}, None),
    ],
)
def test_the_wait_is_read_from_the_headers_in_seconds(headers: dict[str, str], seconds: float | None) -> None:
    assert failures.refused(429, headers, b"").retry_after == seconds


def test_a_wait_may_be_a_date() -> None:
    wait = failures.refused(503, {"Retry-After": formatdate(time.time() + 30, usegmt=True)}, b"").retry_after
    assert wait is not None
    assert 25 < wait <= 30


@pytest.mark.parametrize(
    ("error", "type_"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, ErrorType.PROVIDER_OVERLOADED),
        ({"type": "rate_limit_error", "message": "Slow"}, ErrorType.PROVIDER_RATE_LIMITED),
        ({"type": "authentication_error"}, ErrorType.PROVIDER_AUTH),
        ({"type": "invalid_request_error", "message": "No"}, ErrorType.PROVIDER_REJECTED),
        ({"type": "api_error", "message": "Oops"}, ErrorType.PROVIDER_FAILED),
        ({"type": "server_error", "code": "rate_limit_exceeded"}, ErrorType.PROVIDER_RATE_LIMITED),
        ({"code": 429, "message": "Slow"}, ErrorType.PROVIDER_RATE_LIMITED),
        ({"code": "503"}, ErrorType.PROVIDER_OVERLOADED),
        ({"code": 7}, ErrorType.PROVIDER_FAILED),
        ({"type": ["odd"]}, ErrorType.PROVIDER_FAILED),
        ("just words", ErrorType.PROVIDER_FAILED),
        (None, ErrorType.PROVIDER_FAILED),
    ],
)
def test_an_error_inside_the_stream_is_judged_by_its_type_or_code(error: object, type_: ErrorType) -> None:
    assert failures.reported(error).type == type_


def test_an_error_inside_the_stream_keeps_the_providers_words() -> None:
    assert failures.reported({"type": "overloaded_error", "message": "Busy"}).message == "the provider reported: Busy"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("bad key secret-of-mine!", "bad key [key]!"),
        ("Incorrect API key provided: sk-proj-********************abcd.", "Incorrect API key provided: [key]"),
        ("invalid x-api-key sk-ant-api03-AbC_dEf-123", "invalid x-api-key [key]"),
        ("the task-runner risk-assessment is fine", "the task-runner risk-assessment is fine"),
    ],
)
def test_keys_are_taken_out_of_a_message(text: str, clean: str) -> None:
    assert failures.presentable(text, "secret-of-mine") == clean


@pytest.mark.parametrize(
    ("status", "headers", "body", "retryable"),
    [
        (408, {}, b"", True),
        (409, {}, b"", True),
        (500, {"x-should-retry": "false"}, b"", False),
        (400, {"x-should-retry": "TRUE "}, b"", True),
        (500, {"x-should-retry": "perhaps"}, b"", True),
        (429, {}, b'{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}', False),
    ],
)
def test_whether_another_try_may_help_is_said_by_the_provider_else_by_the_status(
    status: int, headers: dict[str, str], body: bytes, retryable: bool
) -> None:
    assert failures.refused(status, headers, body).retryable is retryable
