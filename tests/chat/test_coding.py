"""Bodies that are packed, cut up in any way."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.chat.coding import Undecodable, inflater

if TYPE_CHECKING:
    from collections.abc import Callable


def _raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": gzip.compress,
    b" X-GZIP ": lambda data: gzip.compress(data[:7]) + gzip.compress(data[7:]),
    b"deflate": zlib.compress,
    b"Deflate": _raw,
}


@given(st.sampled_from(sorted(PACKERS)), st.binary(min_size=8), st.integers(1, 40))
def test_what_was_packed_is_unpacked_however_it_is_cut_up(encoding: bytes, data: bytes, size: int) -> None:
    packed, unpacked = PACKERS[encoding](data), b""
    unpacker = inflater(encoding)
    assert unpacker is not None
    for start in range(0, len(packed), size):
        unpacker.take(packed[start : start + size])
        while some := unpacker.unpacked():
            unpacked += some
    assert unpacked == data


def test_a_small_piece_that_holds_much_is_unpacked_bit_by_bit() -> None:
    unpacker = inflater(b"gzip")
    assert unpacker is not None
    unpacker.take(gzip.compress(bytes(4_000_000)))
    sizes = [len(piece) for piece in iter(unpacker.unpacked, b"")]
    assert sum(sizes) == 4_000_000
    assert max(sizes) <= 65_536


def test_a_piece_that_holds_more_than_any_answer_is_refused() -> None:
    unpacker = inflater(b"gzip")
    assert unpacker is not None
    unpacker.take(gzip.compress(bytes(50_000_000)))
    with pytest.raises(Undecodable):
        list(iter(unpacker.unpacked, b""))


def test_a_long_answer_that_is_flushed_event_by_event_is_unpacked_however_its_events_are_alike() -> None:
    """The tightest that a stream can be packed whose events leave at once."""
    unpacker = inflater(b"gzip")
    assert unpacker is not None
    event, size = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n', 0
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    for _ in range(100_000):
        unpacker.take(packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH))
        size += sum(map(len, iter(unpacker.unpacked, b"")))
    assert size == 100_000 * len(event)


@pytest.mark.parametrize("encoding", [b"", b"identity", b" Identity"])
def test_what_is_not_packed_needs_no_unpacking(encoding: bytes) -> None:
    assert inflater(encoding) is None


@pytest.mark.parametrize("encoding", [b"br", b"zstd", b"gzip, deflate", b"?"])
def test_what_was_not_asked_for_is_refused(encoding: bytes) -> None:
    with pytest.raises(Undecodable):
        inflater(encoding)


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate"])
def test_what_is_not_packed_as_it_says_is_refused(encoding: bytes) -> None:
    unpacker = inflater(encoding)
    assert unpacker is not None
    unpacker.take(b"data: hello\n\n")
    with pytest.raises(Undecodable):
        unpacker.unpacked()
