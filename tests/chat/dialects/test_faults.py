"""Failures in the words of each API."""

from __future__ import annotations

import pytest

from tailrace.chat.dialects import DIALECTS, status_of
from tailrace.errors import ErrorType, ProviderError, RunError

STATUSES = (400, 401, 403, 404, 413, 422, 429, 500, 502, 503, 504)


@pytest.mark.parametrize("kind", ErrorType)
def test_every_failure_has_a_status(kind: ErrorType) -> None:
    assert 400 <= status_of(RunError(kind, "x")) < 600


def test_what_asking_again_may_mend_has_a_status_that_says_so_and_a_cancel_has_not() -> None:
    again = {408, 409, 429, *range(500, 600)}  # what the SDKs ask again after
    assert status_of(RunError(ErrorType.CALLER_CANCELLED, "x")) not in again
    assert status_of(RunError(ErrorType.PROVIDER_OVERLOADED, "x")) in again


@pytest.mark.parametrize(("status", "ours"), [(400, 400), (413, 413), (422, 422), (None, 400), (302, 400)])
def test_what_the_provider_refuses_for_the_requests_sake_keeps_its_status(status: int | None, ours: int) -> None:
    assert status_of(ProviderError(ErrorType.PROVIDER_REJECTED, "x", status=status)) == ours


def test_a_key_of_ours_that_is_refused_is_not_the_callers_fault() -> None:
    assert status_of(ProviderError(ErrorType.PROVIDER_AUTH, "x", status=401)) == 502


@pytest.mark.parametrize(
    ("word", "status"), [("billing_error", 402), ("not_found_error", 404), ("request_too_large", 413), ("odd", 400)]
)
def test_a_refusal_inside_a_stream_has_the_status_that_its_word_stands_for(word: str, status: int) -> None:
    assert status_of(ProviderError(ErrorType.PROVIDER_REJECTED, "x", code=word)) == status


@pytest.mark.parametrize(
    ("said", "openai", "anthropic"),
    [
        (
            {"code": "context_length_exceeded", "kind": "invalid_request_error", "param": "messages"},
            {"type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"},
            {"type": "invalid_request_error", "details": {"error_code": "context_length_exceeded"}},
        ),
        (
            {"code": "overloaded_error", "kind": "overloaded_error"},
            {"type": "invalid_request_error", "param": None, "code": "provider_rejected"},
            {"type": "overloaded_error"},
        ),
        (
            {"code": "insufficient_quota", "kind": "insufficient_quota"},
            {"type": "insufficient_quota", "param": None, "code": "insufficient_quota"},
            {"type": "invalid_request_error"},
        ),
        (
            {},
            {"type": "invalid_request_error", "param": None, "code": "provider_rejected"},
            {"type": "invalid_request_error"},
        ),
    ],
)
def test_a_providers_words_survive_where_the_api_has_such(
    said: dict[str, str], openai: dict[str, object], anthropic: dict[str, object]
) -> None:
    error = ProviderError(ErrorType.PROVIDER_REJECTED, "no", **said)  # type: ignore[arg-type]
    assert DIALECTS["openai-chat"].failure(error) == {"error": {"message": "no", **openai}}
    assert DIALECTS["openai-responses"].failure(error) == {"error": {"message": "no", **openai}}
    assert DIALECTS["anthropic"].failure(error) == {"type": "error", "error": {"message": "no", **anthropic}}


def test_what_is_said_about_our_key_is_told_in_our_own_words() -> None:
    error = ProviderError(
        ErrorType.PROVIDER_AUTH, "no", status=401, code="invalid_api_key", kind="authentication_error"
    )
    assert DIALECTS["openai-chat"].failure(error)["error"]["code"] == "provider_auth"
    assert DIALECTS["openai-chat"].failure(error)["error"]["type"] == "server_error"
    assert DIALECTS["anthropic"].failure(error)["error"] == {"type": "api_error", "message": "no"}


@pytest.mark.parametrize("status", STATUSES)
def test_openais_bodies_have_message_type_param_and_code(status: int) -> None:
    for name in ("openai-chat", "openai-responses"):
        error = DIALECTS[name].problem(status, "no", param="a.b", code="c")["error"]
        assert error.pop("type")
        assert error == {"message": "no", "param": "a.b", "code": "c"}


@pytest.mark.parametrize("status", STATUSES)
def test_anthropics_bodies_have_a_type_and_a_message(status: int) -> None:
    body = DIALECTS["anthropic"].problem(status, "no", param="a.b")
    assert body == {"type": "error", "error": {"type": body["error"]["type"], "message": "no"}}


@pytest.mark.parametrize(
    ("status", "openai", "anthropic"),
    [
        (400, "invalid_request_error", "invalid_request_error"),
        (401, "authentication_error", "authentication_error"),
        (404, "invalid_request_error", "not_found_error"),
        (429, "rate_limit_error", "rate_limit_error"),
        (502, "server_error", "api_error"),
        (504, "server_error", "timeout_error"),
    ],
)
def test_the_usual_words(status: int, openai: str, anthropic: str) -> None:
    assert DIALECTS["openai-chat"].problem(status, "x")["error"]["type"] == openai
    assert DIALECTS["anthropic"].problem(status, "x")["error"]["type"] == anthropic
    assert DIALECTS["anthropic"].problem(status, "x", type="special")["error"]["type"] == "special"
