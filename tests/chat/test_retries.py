"""What to do about a failure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.chat import failures
from tailrace.chat.places import Queue, Saturated
from tailrace.chat.retries import Step, counts, judge, pause
from tailrace.errors import ErrorType, ProviderError

AGAIN, ELSEWHERE, NOWHERE = Step.AGAIN, Step.ELSEWHERE, Step.NOWHERE


@pytest.mark.parametrize(
    ("status", "step"),
    [
        (307, ELSEWHERE),
        (400, NOWHERE),
        (401, ELSEWHERE),
        (402, ELSEWHERE),
        (403, ELSEWHERE),
        (404, ELSEWHERE),
        (408, AGAIN),
        (409, AGAIN),
        (413, NOWHERE),
        (422, NOWHERE),
        (429, AGAIN),
        (500, AGAIN),
        (503, AGAIN),
        (529, AGAIN),
    ],
)
def test_a_refusal_is_judged_by_whether_others_would_refuse_as_well(status: int, step: Step) -> None:
    assert judge(failures.refused(status, {}, b"")) is step


@pytest.mark.parametrize(
    ("type_", "step"),
    [
        (ErrorType.PROVIDER_UNREACHABLE, AGAIN),
        (ErrorType.PROVIDER_CONNECT_TIMEOUT, AGAIN),
        (ErrorType.PROVIDER_CUT, AGAIN),
        (ErrorType.PROVIDER_INCOMPLETE, AGAIN),
        (ErrorType.PROVIDER_FIRST_TOKEN_TIMEOUT, ELSEWHERE),
        (ErrorType.PROVIDER_IDLE_TIMEOUT, ELSEWHERE),
        (ErrorType.PROVIDER_TOTAL_TIMEOUT, ELSEWHERE),
        (ErrorType.PROVIDER_MALFORMED, ELSEWHERE),
        (ErrorType.TAILRACE_INTERRUPTED, NOWHERE),
        (ErrorType.PROVIDER_REJECTED, NOWHERE),  # within a stream: the provider gave no status
    ],
)
def test_a_break_is_tried_again_and_a_time_that_is_up_is_not(type_: ErrorType, step: Step) -> None:
    assert judge(ProviderError(type_, "x")) is step


@pytest.mark.parametrize("type_", [each for each in ErrorType if each.startswith("provider_")])
def test_what_has_spoken_is_not_asked_again_for_the_same(type_: ErrorType) -> None:
    assert judge(ProviderError(type_, "x"), spoke=True) is not AGAIN


def test_an_answer_that_took_more_time_than_there_is_would_take_it_elsewhere_too() -> None:
    assert judge(ProviderError(ErrorType.PROVIDER_TOTAL_TIMEOUT, "x"), spoke=True) is NOWHERE


@pytest.mark.parametrize(
    ("status", "headers", "body", "step"),
    [
        (500, {"x-should-retry": "false"}, b"", ELSEWHERE),
        (400, {"x-should-retry": "true"}, b"", AGAIN),
        (401, {"x-should-retry": "true"}, b"", AGAIN),
        (429, {"x-should-retry": "true"}, b'{"error": {"code": "insufficient_quota"}}', ELSEWHERE),
    ],
)
def test_the_provider_knows_better_whether_another_try_helps(
    status: int, headers: dict[str, str], body: bytes, step: Step
) -> None:
    assert judge(failures.refused(status, headers, body)) is step


@pytest.mark.parametrize(
    ("error", "step"),
    [
        ({"type": "billing_error"}, ELSEWHERE),
        ({"type": "not_found_error"}, ELSEWHERE),
        ({"type": "permission_error"}, ELSEWHERE),
        ({"code": "model_not_found", "type": "invalid_request_error"}, ELSEWHERE),
        ({"code": "insufficient_quota"}, ELSEWHERE),
        ({"type": "rate_limit_error"}, AGAIN),
        ({"type": "overloaded_error"}, AGAIN),
        ({"type": "api_error"}, AGAIN),
        ({"code": "server_error"}, AGAIN),
        ({"type": "request_too_large"}, NOWHERE),
        ({"code": "invalid_prompt"}, NOWHERE),
        ({"code": "image_parse_error"}, NOWHERE),
        ({"code": "context_length_exceeded", "type": "invalid_request_error"}, NOWHERE),
    ],
)
def test_an_error_inside_the_stream_is_judged_by_its_word(error: dict[str, str], step: Step) -> None:
    assert judge(failures.reported(error)) is step


def test_an_unpaid_bill_that_comes_as_a_400_is_about_the_target_all_the_same() -> None:
    body = b'{"error": {"type": "invalid_request_error", "code": "billing_hard_limit_reached"}}'
    assert judge(failures.refused(400, {}, body)) is ELSEWHERE


def test_what_counts_against_a_target_is_neither_the_requests_fault_nor_a_bound_of_ours() -> None:
    full = Saturated("full", Queue())
    assert judge(full) is ELSEWHERE
    for error, against in (
        (full, False),
        (failures.refused(400, {}, b""), False),
        (failures.refused(401, {}, b""), True),
        (failures.refused(503, {}, b""), True),
    ):
        assert counts(error, judge(error)) is against


@given(st.floats(0, 5), st.integers(1, 20), st.floats(0, 1, exclude_max=True))
def test_a_wait_that_the_provider_asks_for_is_never_shortened(asked: float, failed: int, jitter: float) -> None:
    wait = pause(asked, failed, jitter)
    assert wait is not None
    assert asked <= wait <= asked + 0.25


def test_a_wait_of_more_than_a_few_seconds_is_not_waited_out() -> None:
    assert pause(5.01, 1, 0) is None


@given(st.integers(1, 20), st.floats(0, 1, exclude_max=True))
def test_without_one_the_wait_doubles_up_to_four_seconds_and_is_up_to_a_half_shorter(
    failed: int, jitter: float
) -> None:
    longest = min(0.25 * 2 ** (failed - 1), 4.0)
    wait = pause(None, failed, jitter)
    assert wait is not None
    assert longest / 2 <= wait <= longest
