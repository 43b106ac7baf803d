"""What a run took, as its end tells it and as the log has it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tailrace.errors import ErrorType, ProviderError
from tailrace.runs import Finish, Item, RunOptions, Text, Usage
from tailrace.runs.account import Ledger
from tests.support.producers import Held, says
from tests.support.viewers import House

pytestmark = pytest.mark.anyio


class Tried:
    """A try, as whoever tries upstreams notes it."""

    def __init__(self, provider: str, outcome: str) -> None:
        self.provider = provider
        self.outcome = outcome

    def told(self) -> dict[str, Any]:
        return {"provider": self.provider, "model": f"{self.provider}-1", "outcome": self.outcome}


def test_time_is_counted_from_the_beginning_and_the_first_token_once() -> None:
    ledger = Ledger(RunOptions(model="m", provider="p"), 1.0)
    ledger.begin(10.0)
    assert ledger.account(10.5).first_token is None
    ledger.speak(10.25)
    ledger.speak(11.0)
    account = ledger.account(12.00001)
    assert (account.first_token, account.seconds, account.model, account.provider) == (0.25, 2.0, "m", "p")


async def test_a_run_names_who_answered_and_who_was_tried_before() -> None:
    async with House() as house:
        attempts: list[Tried] = []

        async def answer() -> Any:
            attempts.extend([Tried("main", "provider_cut"), Tried("spare", "answered")])
            yield [Text("a"), Usage(1, 2, cached_input_tokens=1), Finish("stop")]

        run = await house.start(answer, model="main-1", provider="main", attempts=attempts)
        viewer = await house.whole(run.id)
        assert viewer.said(viewer.events[-2]) == {
            "finish_reason": "stop",
            "usage": {"input_tokens": 1, "output_tokens": 2, "estimated": False, "cached_input_tokens": 1},
            "model": "spare-1",
            "provider": "spare",
            "first_token": 0,
            "seconds": 0,
            "attempts": [each.told() for each in attempts],
        }
        summary = await house.runs.summary(run.id, None)
        assert (summary.model, summary.provider, len(summary.attempts)) == ("spare-1", "spare", 2)


class Running:
    """A clock that goes on whenever somebody looks at it."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += 1
        return self._now

    def time(self) -> float:
        return 1_700_000_000.0


async def test_a_run_that_never_began_took_no_time() -> None:
    async with House(clock=Running()) as house:
        refused = await house.runs.refuse(RunOptions())
        assert (await house.runs.summary(refused.id, None)).seconds == 0


async def test_a_cancelled_run_has_its_account_too() -> None:
    async with House() as house:
        producer = Held("Hello")
        run = await house.start(producer, prompt_bytes=8)
        viewer = await house.view(run.id)
        await viewer.saw("message")
        house.pass_time(2)
        summary = await house.runs.cancel(run.id, None)
        await viewer.ended()
        assert (summary.seconds, summary.first_token) == (2, 0)
        assert summary.usage == {"input_tokens": 2, "output_tokens": 2, "estimated": True}


@pytest.mark.parametrize(
    ("last", "status", "error"),
    [
        (lambda: Finish("stop"), "finished", None),
        (lambda: ProviderError(ErrorType.PROVIDER_CUT, "cut off"), "failed", "provider_cut"),
    ],
)
async def test_the_end_of_a_run_is_one_line_of_the_log_without_a_word_that_was_said(
    last: Callable[[], Item | Exception], status: str, error: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tailrace")
    async with House() as house:
        run = await house.start(says(Text("secret"), last()), model="m", provider="p")
        await house.whole(run.id)
    (line,) = [each for each in caplog.records if each.levelno == logging.INFO]
    assert line.getMessage() == f"run {run.id} of p/m: {status} after 0 s"
    fields = vars(line)
    assert (fields["run"], fields["status"], fields["error"]) == (run.id, status, error)
    assert fields["usage"] == {"input_tokens": 0, "output_tokens": 2, "estimated": True}
    assert (fields["first_token"], fields["seconds"], fields["attempts"]) == (0, 0, [])
    assert "secret" not in str(fields)
