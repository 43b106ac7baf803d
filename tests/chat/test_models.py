"""What a model's name means."""

from __future__ import annotations

from typing import Any

import pytest

from tailrace.chat.models import Arm, Catalog, Policy, Route, Target
from tailrace.errors import SettingsError, UnknownModel

A, B, C = Target("claude", "a"), Target("claude", "b"), Target("demo", "demo")
SMART = Route("smart", (Arm(A, 9), Arm(B)), (C, A), Policy(retries=3))
CATALOG = Catalog(
    {"claude": None, "demo": "demo"},
    [SMART, Route("claude/fast", (Arm(C),))],
    default="smart",
)


@pytest.mark.parametrize("name", [None, "", "smart"])
def test_a_routes_name_is_that_route_and_no_name_the_default(name: str | None) -> None:
    assert CATALOG.route(name) is SMART


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("claude/any-model", Target("claude", "any-model")),
        ("claude/vendor/any-model", Target("claude", "vendor/any-model")),
        ("claude/fast", Target("demo", "demo")),
        ("demo", Target("demo", "demo")),
        ("demo/demo", Target("demo", "demo")),
    ],
)
def test_another_name_is_a_providers_bare_name_else_provider_and_model(name: str, target: Target) -> None:
    assert CATALOG.route(name) == Route(name, (Arm(target),))


@pytest.mark.parametrize("name", ["clever", "claude", "claude/", "nobody/model", "/model", "SMART"])
def test_an_unknown_name_is_refused_with_the_names_that_are_known(name: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        CATALOG.route(name)
    assert caught.value.model == name
    assert caught.value.known == ("smart", "claude/fast", "demo", "claude/<model>", "demo/<model>")


def test_without_a_default_the_first_provider_whose_bare_name_means_a_model_is_it() -> None:
    assert Catalog({"claude": None, "demo": "demo"}).route(None).targets == (C,)


def test_no_name_is_unknown_where_nothing_can_be_the_default() -> None:
    with pytest.raises(UnknownModel, match="known: claude/<model>"):
        Catalog({"claude": None}).route(None)


def test_a_default_that_leads_nowhere_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match="the default model 'x' is not one of"):
        Catalog({"demo": "demo"}, default="x")


@pytest.mark.parametrize("route", [Route("a", (Arm(A),)), Route("a", (Arm(C),), (A,))])
def test_a_route_to_a_provider_that_is_not_configured_is_refused_at_once(route: Route) -> None:
    with pytest.raises(SettingsError, match="model 'a' leads to claude/a, but no such provider"):
        Catalog({"demo": "demo"}, [route])


def test_a_catalog_knows_its_routes_and_a_route_each_of_its_targets_once() -> None:
    assert [route.name for route in CATALOG.routes] == ["smart", "claude/fast"]
    assert SMART.targets == (A, B, C)


@pytest.mark.parametrize(
    ("policy", "grace"), [("cancel", 0.0), ("grace", 10.0), ("finish", None)]
)  # the usual grace is 10 seconds
def test_a_policy_says_how_long_an_answer_goes_on_unwatched(policy: Any, grace: float | None) -> None:
    assert Policy(on_disconnect=policy).grace(10.0) == grace


def test_a_policy_that_leaves_it_to_the_usual_grace_leaves_no_end_where_that_is_usual() -> None:
    assert Policy().grace(None) is None


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Target("claude", ""), "a target needs a provider and a model"),
        (lambda: Arm(A, 0), "the weight of claude/a is 0; expected 1 or more"),
        (lambda: Route("x", ()), "model 'x' has no target"),
        (lambda: Route("x", (Arm(A), Arm(A, 2))), "model 'x' names claude/a twice"),
        (lambda: Route("x", (Arm(A),), (B, B)), "model 'x' names claude/b twice"),
        (lambda: Policy(retries=-1), "retries is -1; expected 0 or more"),
        (lambda: Policy(on_disconnect="x"), "on_disconnect is 'x'; expected one of cancel, grace, finish"),  # type: ignore[arg-type]
        (lambda: Policy(after_content="x"), "after_content is 'x'; expected one of fail, continue"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_a_route_is_refused_where_it_is_made(make: Any, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        make()
    assert str(refused.value) == told
