"""What is signed here is known again, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.access.refusals import CredentialRefused
from tailrace.access.signing import Signer

SIGNER = Signer(b"secret", "ticket")


@given(st.binary(max_size=200))
def test_what_was_sealed_is_opened(content: bytes) -> None:
    sealed = SIGNER.seal(content)
    assert Signer(b"secret", "ticket").open(sealed) == content
    assert set(sealed) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@given(st.binary(min_size=1, max_size=50), st.data())
def test_one_character_more_less_or_other_is_none_of_ours(content: bytes, data: st.DataObject) -> None:
    sealed = SIGNER.seal(content)
    place = data.draw(st.integers(0, len(sealed) - 1))
    char = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=ü \0"))
    kept = data.draw(st.booleans())
    other = sealed[:place] + char + sealed[place if kept else place + 1 :]
    if other != sealed:
        with pytest.raises(CredentialRefused):
            SIGNER.open(other)


@pytest.mark.parametrize("other", [Signer(b"secret", "session"), Signer(b"other", "ticket"), Signer(b"", "ticket")])
def test_what_was_signed_for_something_else_is_none(other: Signer) -> None:
    with pytest.raises(CredentialRefused, match="signature"):
        SIGNER.open(other.seal(b"x"))


@pytest.mark.parametrize("text", ["", ".", "..", "a.b", "ü.ü", "." * 10_000])
def test_what_is_no_signed_text_is_refused(text: str) -> None:
    with pytest.raises(CredentialRefused):
        SIGNER.open(text)
