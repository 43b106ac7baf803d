"""The frames of a WebSocket: as its RFC has them, and taken apart again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from tailrace.asgi.frames import BEAT, text_frame, texts


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 100_000])
def test_a_message_is_the_frame_that_others_make_of_it(size: int) -> None:
    assert text_frame(b"x" * size) == Frame(Opcode.TEXT, b"x" * size).serialize(mask=False)


def test_a_heartbeat_is_a_pong_that_nobody_asked_for() -> None:
    assert Frame(Opcode.PONG, b"").serialize(mask=False) == BEAT


@given(st.lists(st.text(max_size=300) | st.just("x" * 70_000), max_size=8), st.booleans())
def test_messages_are_found_again_in_their_frames(messages: list[str], viewed: bool) -> None:
    data = BEAT + BEAT.join([text_frame(message.encode()) for message in messages])
    assert list(texts(memoryview(data) if viewed else data)) == messages
