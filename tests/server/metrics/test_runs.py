"""What an answer's end says of the targets behind it, under labels of which there is an end."""

from __future__ import annotations

from typing import Any

from tailrace.chat.gateway import Gateway
from tailrace.chat.models import Arm, Route, Target
from tailrace.observe import Counters
from tailrace.runs import Ended, RunOptions, Status
from tailrace.runs.account import Account
from tailrace.server.metrics.runs import RunFigures, named_targets

NAMED = Target("up", "m")


def ended(*attempts: tuple[str, str, str], first_token: float | None = 0.5, estimated: bool = False) -> Ended:
    usage = {"input_tokens": 3, "output_tokens": 4, "estimated": estimated}
    tried: list[dict[str, Any]] = [{"provider": p, "model": m, "outcome": outcome} for p, m, outcome in attempts]
    provider, model = (attempts[-1][0], attempts[-1][1]) if attempts else ("", "")
    account = Account(usage, model, provider, first_token, 1.0, tried)
    return Ended("r", Status.FINISHED, account, None, RunOptions())


def counted(*ends: Ended) -> Counters:
    meter = Counters()
    figures = RunFigures(meter, {NAMED, Target("other", "n")})
    for each in ends:
        figures(each)
    return meter


def test_tries_tokens_and_the_first_token_are_counted_by_target() -> None:
    snapshot = counted(ended(("up", "m", "provider_failed"), ("other", "n", "answered"))).snapshot()
    assert snapshot.sums == {
        ("attempts", ("up", "m", "provider_failed")): 1,
        ("attempts", ("other", "n", "answered")): 1,
        ("failovers", ("up", "m")): 1,
        ("target.tokens", ("other", "n", "input", "provider")): 3,
        ("target.tokens", ("other", "n", "output", "provider")): 4,
    }
    assert snapshot.spreads["first_token.seconds", ("other", "n")].total == 0.5


def test_a_second_try_of_one_target_is_no_failover() -> None:
    assert not counted(ended(("up", "m", "provider_cut"), ("up", "m", "answered")))["failovers"]


def test_models_that_only_callers_have_named_share_one_label() -> None:
    meter = counted(*[ended(("up", f"made-up-{number}", "provider_rejected")) for number in range(1000)])
    models = {labels[1] for _, labels in meter.snapshot().sums}
    assert models == {"other"}


def test_an_estimate_is_told_from_what_a_provider_said_and_silence_has_no_first_token() -> None:
    snapshot = counted(ended(("up", "m", "abandoned"), first_token=None, estimated=True)).snapshot()
    assert ("target.tokens", ("up", "m", "output", "estimated")) in snapshot.sums
    assert not snapshot.spreads


def test_an_applications_own_answers_have_no_target() -> None:
    assert not counted(ended()).snapshot().sums


def test_the_named_targets_are_those_of_routes_and_the_default() -> None:
    assert named_targets(Gateway.build()) == {Target("demo", "demo")}
    route = Route("smart", (Arm(Target("demo", "big")),), (Target("demo", "small"),))
    named = named_targets(Gateway.build(routes=[route], default_model="demo/own"))
    assert named == {Target("demo", name) for name in ("big", "small", "own", "demo")}
