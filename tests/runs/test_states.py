"""The table of a run's states."""

from __future__ import annotations

import pytest

from tailrace.errors import ErrorType
from tailrace.runs.states import NEXT, Status, ending


def test_every_state_is_in_the_table() -> None:
    assert set(NEXT) == set(Status)


def test_a_run_in_progress_may_end_in_each_of_the_four_ways() -> None:
    assert NEXT[Status.RUNNING] == set(Status) - {Status.RUNNING}


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.RUNNING}))
def test_a_terminal_state_leads_nowhere(status: Status) -> None:
    assert not NEXT[status]


@pytest.mark.parametrize("error", ErrorType)
def test_every_error_ends_a_run_in_a_state_of_those_that_did_not_finish(error: ErrorType) -> None:
    assert ending(error) in {Status.FAILED, Status.CANCELLED, Status.INTERRUPTED}


def test_what_a_caller_did_is_a_cancellation_and_what_the_process_did_an_interruption() -> None:
    assert ending(ErrorType.CALLER_CANCELLED) is ending(ErrorType.CALLER_GONE) is Status.CANCELLED
    assert ending(ErrorType.TAILRACE_INTERRUPTED) is Status.INTERRUPTED
    assert ending(ErrorType.PROVIDER_CUT) is ending(ErrorType.CALLER_UNKNOWN_RUN) is Status.FAILED
