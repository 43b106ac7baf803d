"""What a provider is configured with."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from tailrace.chat.providers.base import ProviderOptions
from tailrace.errors import SettingsError


@pytest.mark.parametrize("base_url", ["http://h:1/v1", "http://h:1/v1/"])
def test_an_endpoint_is_below_the_base_url(base_url: str) -> None:
    options = ProviderOptions(name="x", kind="openai", base_url=base_url)
    assert options.endpoint("/chat/completions", "https://public") == URL("http://h:1/v1/chat/completions")


def test_without_a_base_url_it_is_the_kinds_public_address() -> None:
    assert ProviderOptions(name="x", kind="k").endpoint("/p", "https://public/v1") == URL("https://public/v1/p")


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"base_url": "h:80"}, "expected http"),
        ({"base_url": "ftp://h"}, "expected http"),
        ({"base_url": "http://"}, "base_url"),
        ({"base_url": "http://h:port"}, "is not a URL"),
        ({"base_url": "http://user:pass@h"}, "expected no credentials"),
        ({"base_url": "http://h?x=1"}, "expected no credentials, query"),
        ({"api_key": "se cret"}, "api_key holds characters"),
        ({"api_key": "secret\n"}, "api_key holds characters"),
        ({"api_key": "sécret"}, "api_key holds characters"),
        ({"name": ""}, "expected a name without '/'"),
        ({"name": "a/b"}, "expected a name without '/'"),
        ({"max_streams": 0}, "max_streams is 0"),
    ],
)
def test_impossible_options_are_refused_without_showing_the_key(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint) as caught:
        ProviderOptions(**{"name": "x", "kind": "k", **fields})
    assert "cret" not in str(caught.value)
