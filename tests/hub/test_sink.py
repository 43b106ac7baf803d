"""What is put around events."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.hub import Framing
from tests.hub.rig import body


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300)))
def test_chunks_hold_the_events_and_nothing_for_what_is_hidden(blocks: list[bytes]) -> None:
    frames = Framing.CHUNKED.wrap(blocks)
    assert [bool(frame) for frame in frames] == [bool(block) for block in blocks]
    assert body(b"".join(frames)) == (b"".join(blocks), False)
    assert body(b"".join(frames) + Framing.CHUNKED.end) == (b"".join(blocks), True)


def test_plain_framing_adds_nothing() -> None:
    assert Framing.PLAIN.wrap([b"a", b""]) == [b"a", b""]
    assert Framing.PLAIN.end == b""
