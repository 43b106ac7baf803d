"""How records travel: whatever is packed is unpacked as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.log import Record
from tailrace.log.redis.messages import Mark, Message, decoded, encoded, pack, unpack

TEXTS = st.one_of(st.text(st.characters()), st.text(":-0123456789\n ", max_size=6))  # characters(): surrogates too
RECORDS = st.lists(
    st.tuples(TEXTS, st.none() | TEXTS, st.floats(0, 1e12, allow_nan=False) | st.floats(allow_nan=False)), max_size=5
)


def told(mark: bytes, epoch: str, first: int, packed: list[bytes]) -> bytes:
    """A message as the scripts put it together."""
    line = b"%b%b %d\n" % (mark, epoch.encode(), first)
    return line + b"".join(b"%d:%b" % (len(each), each) for each in packed)


@given(RECORDS, st.sampled_from(Mark), st.integers(1, 10**12))
def test_a_message_says_what_its_records_are(
    entries: list[tuple[str, str | None, float]], mark: Mark, first: int
) -> None:
    packed = [pack(*entry) for entry in entries]
    message = Message.parse(told(mark.value, "aZ09_", first, packed))
    assert message == Message(mark, "aZ09_", [Record(first + i, *entry) for i, entry in enumerate(entries)])


@given(TEXTS, st.none() | TEXTS, st.floats(allow_nan=False))
def test_a_record_comes_back_as_it_was(event: str, data: str | None, at: float) -> None:
    assert unpack(7, pack(event, data, at)) == Record(7, event, data, at)


@given(TEXTS)
def test_a_text_comes_back_as_it_was(text: str) -> None:
    assert decoded(encoded(text)) == text


@given(RECORDS.filter(bool), st.data())
def test_a_message_that_was_cut_is_refused(entries: list[tuple[str, str | None, float]], data: st.DataObject) -> None:
    message = told(b"+", "e", 1, [pack(*entry) for entry in entries])
    last = len(pack(*entries[-1]))
    cut = data.draw(st.integers(1, last))
    with pytest.raises(ValueError):  # noqa: PT011  # how it is broken does not matter
        Message.parse(message[:-cut])


@pytest.mark.parametrize("message", [b"", b"?e 1\n", b"+e\n", b"+e x\n", b"+e 1\n5", b"+e 1\n1:x"])
def test_what_no_script_tells_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # how it is broken does not matter
        Message.parse(message)
