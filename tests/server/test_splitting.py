"""Bytes as lines of text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tailrace.server.splitting import Lines

BODY = st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=8)


@given(BODY, st.binary(max_size=5).map(lambda rest: rest.replace(b"\n", b"")), st.integers(1, 20))
def test_lines_are_the_same_however_their_bytes_come(lines: list[bytes], rest: bytes, size: int) -> None:
    whole = b"".join(line + b"\n" for line in lines) + rest
    reader = Lines()
    got = [line for at in range(0, len(whole), size) for line in reader.receive(whole[at : at + size])]
    assert reader.unfinished == len(rest)
    said = [line.removesuffix(b"\r").decode(errors="replace") for line in lines]
    assert got == said
    assert reader.flush() == ([rest.removesuffix(b"\r").decode(errors="replace")] if rest else [])
    assert reader.unfinished == 0


@given(st.integers(1, 9))
def test_a_line_without_an_end_is_left_out_and_takes_no_memory(size: int) -> None:
    reader = Lines(longest=4)
    body = b"1234\n" + b"x" * 50 + b"\n12345\n\nend\n"
    got = []
    for at in range(0, len(body), size):
        got += reader.receive(body[at : at + size])
        assert reader.unfinished <= 4
    assert (got, reader.dropped) == (["1234", "", "end"], 2)


def test_who_begins_in_the_middle_of_a_line_passes_over_its_rest() -> None:
    reader = Lines(skipping=True)
    assert reader.receive(b"st\nnext\nla") == ["next"]
    assert reader.flush() == ["la"]
