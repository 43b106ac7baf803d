"""What providers say of an error, and what their words mean."""

from __future__ import annotations

from typing import get_args

import pytest
from anthropic.types.shared.error_type import ErrorType as AnthropicType
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseError

from tailrace.chat import reports
from tailrace.chat.reports import Report
from tailrace.errors import ErrorType

_ELSEWHERE = {"memory_precondition_failed_error", "memory_path_conflict_error"}
"""Of Anthropic's APIs, but not of the one for answers."""


@pytest.mark.parametrize(
    ("error", "report"),
    [
        (
            {"message": "long", "type": "invalid_request_error", "param": "messages[1].content", "code": "too_long"},
            Report("long", "invalid_request_error", "too_long", "messages[1].content"),
        ),
        (
            {"type": "invalid_request_error", "message": "no", "details": {"error_code": "request_body_x"}},
            Report("no", "invalid_request_error", "request_body_x"),
        ),
        ({"type": "overloaded_error", "message": "Overloaded"}, Report("Overloaded", "overloaded_error")),
        ({"message": "slow", "code": 429}, Report("slow", status=429)),
        ({"message": "slow", "code": "503"}, Report("slow", status=503)),
        ({"message": ["odd"], "code": {"odd": 1}, "type": 7, "param": [], "details": 1}, Report()),
        ({"code": "a sentence, not a word", "param": "x" * 200}, Report()),
        ("just words", Report("just words")),
        (None, Report()),
    ],
)
def test_an_error_is_read_in_the_shape_of_any_api(error: object, report: Report) -> None:
    assert reports.of_value(error) == report


@pytest.mark.parametrize(
    ("body", "report"),
    [
        (b'{"error": {"message": "m", "type": "t", "code": "c", "param": "p"}}', Report("m", "t", "c", "p")),
        (b'{"type": "error", "error": {"type": "billing_error", "message": "m"}}', Report("m", "billing_error")),
        (
            b'{"object": "error", "message": "m", "type": "BadRequestError", "code": 400}',
            Report("m", "BadRequestError", status=400),
        ),
        (b'{"type": "error", "error": "flat"}', Report("flat")),
        (b'{"detail": "fastapi"}', Report("fastapi")),
        (b'{"detail": [{"loc": ["body"]}]}', Report()),
        (b"[" * 100_000, Report("[" * 100_000)),
        (b"<html>", Report()),
    ],
)
def test_so_is_a_body(body: bytes, report: Report) -> None:
    assert reports.of_body(body) == report


@given(st.binary(max_size=200))
def test_no_body_is_too_odd_to_be_read(body: bytes) -> None:
    assert isinstance(reports.of_body(body).type, ErrorType)


@pytest.mark.parametrize(
    ("words", "type_"),
    [
        ({"type": "invalid_request_error", "code": "invalid_api_key"}, ErrorType.PROVIDER_AUTH),
        ({"type": "tokens", "code": "rate_limit_exceeded"}, ErrorType.PROVIDER_RATE_LIMITED),
        ({"type": "server_error", "code": "brand_new"}, ErrorType.PROVIDER_FAILED),
        ({"type": "permission_error"}, ErrorType.PROVIDER_AUTH),
        ({"type": "brand_new_error"}, ErrorType.PROVIDER_FAILED),
    ],
)
def test_the_most_exact_word_that_is_known_counts(words: dict[str, str], type_: ErrorType) -> None:
    assert reports.of_value(words).type is type_


def test_every_word_that_the_sdks_publish_is_known() -> None:
    published = {*get_args(ResponseError.model_fields["code"].annotation), *get_args(AnthropicType)}
    assert len(published) > 25
    assert published - _ELSEWHERE <= reports.WORDS
