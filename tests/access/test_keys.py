"""API keys."""

from __future__ import annotations

import hashlib
import re

import pytest

from tailrace.access.grants import Grants
from tailrace.access.keys import ApiKey, ApiKeys, hash_of, new_key


def known(name: str, key: str) -> ApiKey:
    return ApiKey(name=name, digest=hashlib.sha256(key.encode()).digest(), grants=Grants())


def test_a_key_has_256_random_bits_and_says_that_it_is_ours() -> None:
    made = {new_key() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"tr_[A-Za-z0-9_-]{43}", key) for key in made)


def test_what_is_kept_is_the_hash() -> None:
    assert hash_of("tr_x") == f"sha256:{hashlib.sha256(b'tr_x').hexdigest()}"


def test_a_key_is_found_and_nothing_else_is() -> None:
    accepted = ApiKeys([known("web", "tr_a"), known("web", "tr_b"), known("other", "ü")])
    assert len(accepted) == 3
    found = [accepted.find(each) for each in ("tr_a", "tr_b", "ü")]
    assert [each.name for each in found if each is not None] == ["web", "web", "other"]
    for nothing in ("", "tr_", "tr_A", "tr_a ", hash_of("tr_a"), "\udcff", "x" * 100_000):
        assert accepted.find(nothing) is None


def test_hashes_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(known: bytes, presented: bytes) -> bool:
        compared.append((known, presented))
        return True

    monkeypatch.setattr("tailrace.access.keys.hmac.compare_digest", compare)
    key = known("web", "tr_a")
    assert ApiKeys([key]).find("tr_a") is key
    assert compared == [(key.digest, key.digest)]


def test_a_ticket_names_a_key_by_a_mark_that_is_no_key() -> None:
    key = known("web", "tr_a")
    accepted = ApiKeys([key])
    assert accepted.marked(key.mark) is key
    assert accepted.marked("") is None
    assert accepted.find(key.mark) is None
