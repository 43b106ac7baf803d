"""What a model's name means."""

from __future__ import annotations

import pytest

from tailrace.chat.models import Catalog, Route, Target
from tailrace.errors import SettingsError, UnknownModel

CATALOG = Catalog(
    {"claude": None, "demo": "demo"},
    [Route("smart", Target("claude", "claude-opus-4-6")), Route("claude/fast", Target("demo", "demo"))],
    default="smart",
)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        (None, Target("claude", "claude-opus-4-6")),
        ("", Target("claude", "claude-opus-4-6")),
        ("smart", Target("claude", "claude-opus-4-6")),
        ("claude/any-model", Target("claude", "any-model")),
        ("claude/vendor/any-model", Target("claude", "vendor/any-model")),
        ("claude/fast", Target("demo", "demo")),
        ("demo", Target("demo", "demo")),
        ("demo/demo", Target("demo", "demo")),
    ],
)
def test_a_name_is_a_route_else_a_providers_bare_name_else_provider_and_model(name: str | None, target: Target) -> None:
    assert CATALOG.resolve(name) == target


@pytest.mark.parametrize("name", ["clever", "claude", "claude/", "nobody/model", "/model", "SMART"])
def test_an_unknown_name_is_refused_with_the_names_that_are_known(name: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        CATALOG.resolve(name)
    assert caught.value.model == name
    assert caught.value.known == ("smart", "claude/fast", "demo", "claude/<model>", "demo/<model>")


def test_without_a_default_the_first_provider_whose_bare_name_means_a_model_is_it() -> None:
    assert Catalog({"claude": None, "demo": "demo"}).resolve(None) == Target("demo", "demo")


def test_no_name_is_unknown_where_nothing_can_be_the_default() -> None:
    with pytest.raises(UnknownModel, match="known: claude/<model>"):
        Catalog({"claude": None}).resolve(None)


def test_a_default_that_leads_nowhere_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match="the default model 'x' is not one of"):
        Catalog({"demo": "demo"}, default="x")


def test_a_route_to_a_provider_that_is_not_configured_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match="model 'a' leads to gone/b, but no such provider"):
        Catalog({"demo": "demo"}, [Route("a", Target("gone", "b"))])


def test_a_target_has_both_its_parts() -> None:
    with pytest.raises(SettingsError):
        Target("claude", "")
