"""The addresses of stores."""

from __future__ import annotations

import pytest

from tailrace.errors import SettingsError
from tailrace.log.address import StoreAddress


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("memory://", StoreAddress("memory")),
        ("sqlite:///events.db", StoreAddress("sqlite", "events.db")),
        ("sqlite:///data/events.db", StoreAddress("sqlite", "data/events.db")),
        ("sqlite:////var/lib/events.db", StoreAddress("sqlite", "/var/lib/events.db")),
        ("sqlite:///with space.db", StoreAddress("sqlite", "with space.db")),
    ],
)
def test_an_address_names_the_kind_and_the_file(url: str, address: StoreAddress) -> None:
    assert StoreAddress.parse(url) == address


@pytest.mark.parametrize(
    "url",
    [
        *["", "memory", "memory://x", "events.db", "postgres://h/d", "redis://h"],
        *["sqlite", "sqlite:", "sqlite://", "sqlite:///", "sqlite:////", "sqlite://events.db"],
        *["sqlite:///:memory:", "sqlite:///a.db?mode=ro"],
    ],
)
def test_what_is_no_address_is_refused_with_what_was_expected(url: str) -> None:
    with pytest.raises(SettingsError, match=r"expected memory://, sqlite:///"):
        StoreAddress.parse(url)
