"""What scopes allow."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.access.grants import EVERYTHING, NOTHING, Action, Grants

ACTIONS: tuple[Action, ...] = ("chat", "publish", "subscribe", "metrics", "admin")
NAMES = "ab.*-"
SUBJECTS = st.text(st.characters(codec="utf-8"), max_size=6)


def test_a_scope_allows_its_own_action_alone() -> None:
    for scope, action in (
        ("chat", "chat"),
        ("metrics", "metrics"),
        ("publish:*", "publish"),
        ("subscribe:*", "subscribe"),
    ):
        grants = Grants.parse([scope])
        allowed = [each for each in ACTIONS if grants.may(each, "news")]
        assert allowed == [action]


def test_an_admin_may_do_everything_and_nobody_nothing() -> None:
    for action in ACTIONS:
        assert EVERYTHING.may(action, "news")
        assert not NOTHING.may(action, "news")


@pytest.mark.parametrize(
    "scope",
    [
        "",
        "read",
        "Chat",
        "chat:x",
        "admin:*",
        "publish",
        "subscribe:",
        "subscribe:a b",
        "publish:a/b",
        "publish:{user}",
        "publish:ü",
    ],
)
def test_what_is_no_scope_is_refused_by_settings_and_ignored_in_tokens(scope: str) -> None:
    with pytest.raises(ValueError, match=r"expected|needs"):
        Grants.parse([scope])
    assert Grants.known([scope, "chat"], "alice") == Grants.parse(["chat"])


@pytest.mark.parametrize(
    ("pattern", "name", "allowed"),
    [
        ("*", "", True),
        ("news", "news", True),
        ("news", "news-1", False),
        ("news-*", "news-", True),
        ("news-*", "news", False),
        ("*-log", "a-log", True),
        ("*-log", "a-log-2", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*bc*bc", "abc", False),
        ("a.c", "abc", False),
    ],
)
def test_a_star_stands_for_any_run_of_characters(pattern: str, name: str, allowed: bool) -> None:
    assert Grants.parse([f"subscribe:{pattern}"]).may("subscribe", name) is allowed


@given(st.text("ab*", min_size=1, max_size=8), st.text("ab", max_size=10))
def test_a_pattern_means_what_the_same_regular_expression_would(pattern: str, name: str) -> None:
    meant = ".*".join(map(re.escape, pattern.split("*")))
    assert Grants.parse([f"publish:{pattern}"]).may("publish", name) is bool(re.fullmatch(meant, name))


@given(st.text(NAMES, max_size=4) | SUBJECTS, st.text(NAMES, max_size=8))
def test_a_subject_is_taken_literally_whatever_it_consists_of(subject: str, rest: str) -> None:
    grants, name = Grants.parse(["subscribe:u-{sub}-*"], subject), f"u-{rest}"
    assert grants.may("subscribe", name) is name.startswith(f"u-{subject}-")
    assert grants.may("subscribe", f"u-{subject}-x")


def test_a_match_takes_no_longer_for_a_pattern_of_many_stars() -> None:
    pattern = "*a" * 70 + "*b"
    assert not Grants.parse([f"subscribe:{pattern}"]).may("subscribe", "a" * 128)


def test_scopes_can_be_told_again() -> None:
    scopes = ["admin", "chat", "publish:a*b", "subscribe:*", "subscribe:u-alice"]
    grants = Grants.parse([*scopes[:-1], "subscribe:u-{sub}"], "alice")
    assert grants.scopes == scopes
