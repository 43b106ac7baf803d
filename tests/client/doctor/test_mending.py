"""Whose proxy it is, and which lines are shown."""

from __future__ import annotations

import pytest

from tailrace.client.doctor.mending import guess, mend


@pytest.mark.parametrize(
    ("headers", "proxy"),
    [
        ({"server": "nginx/1.22.1"}, "nginx"),
        ({"server": "openresty"}, "nginx"),
        ({"server": "Caddy"}, "caddy"),
        ({"via": "1.1 Caddy"}, "caddy"),
        ({"server": "cloudflare"}, "cloudflare"),
        ({"cf-ray": "8", "server": "nginx"}, "cloudflare"),
        ({"server": "Apache"}, None),
        ({}, None),
    ],
)
def test_a_proxy_is_guessed_by_what_it_says_of_itself(headers: dict[str, str], proxy: str | None) -> None:
    assert guess(headers) == proxy


def test_the_lines_are_those_of_the_proxy_that_is_there() -> None:
    assert mend("upstream-http", "nginx") == {
        "nginx": ("proxy_http_version 1.1;", 'proxy_set_header Connection "";'),
    }


@pytest.mark.parametrize("proxy", [None, "cloudflare"])
def test_they_are_those_of_all_where_it_is_not_known_or_may_have_another_behind_it(proxy: str | None) -> None:
    assert list(mend("buffering", proxy)) == ["nginx", "caddy", "haproxy", "cloudflare"]


def test_values_are_put_in() -> None:
    lines = mend("last-event-id", "nginx", header="Last-Event-ID", variable="last_event_id")
    assert lines == {"nginx": ("proxy_set_header Last-Event-ID $http_last_event_id;",)}
