"""A compressed body: some proxies compress though they were asked not to. Sans-IO."""

from __future__ import annotations

import zlib
from typing import Final

__all__ = ["Inflater", "Undecodable", "inflater"]

_AT_ONCE: Final = 65_536
"""Bytes that are unpacked at a time: a piece of some kilobytes may hold a gigabyte."""
_MOST_RATIO: Final = 200
"""Times that a body may grow by: an event that is sent at once costs 5 bytes to flush, however like the last it is."""
_UNWATCHED: Final = 4_194_304
"""Bytes from which on that is minded."""
_GZIP = 31  # zlib's `wbits`
_ZLIB, _RAW = 15, -15


class Undecodable(Exception):
    """The body is not what its Content-Encoding says."""


def inflater(encoding: bytes) -> Inflater | None:
    """Return what unpacks a body of this Content-Encoding; None where there is nothing to unpack.

    Raises:
        Undecodable: it is packed in a way that was not asked for and is not known here.
    """
    match encoding.strip().lower():
        case b"" | b"identity":
            return None
        case b"gzip" | b"x-gzip":
            return Inflater(_GZIP)
        case b"deflate":
            return Inflater(None)
        case _:
            raise Undecodable


class Inflater:
    """Unpacks one body, a bounded piece at a time."""

    __slots__ = ("_bits", "_came", "_grew", "_packed", "_zlib")

    def __init__(self, bits: int | None) -> None:
        self._bits = bits
        self._packed = b""
        self._came = self._grew = 0
        self._zlib: zlib._Decompress | None = None

    def take(self, packed: bytes) -> None:
        """Take the next piece as it came."""
        self._packed += packed
        self._came += len(packed)

    def unpacked(self) -> bytes:
        """Return what can be unpacked now, some of it; empty where more must come first.

        Raises:
            Undecodable: it is not packed as was said, or more tightly than any answer is.
        """
        while self._packed:
            if self._zlib is None or self._zlib.eof:  # a body may be several such streams, one after the other
                self._zlib = self._begin()
            try:
                data = self._zlib.decompress(self._packed, _AT_ONCE)
            except zlib.error as error:
                raise Undecodable from error
            self._packed = self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail
            if data:
                self._grew += len(data)
                if self._grew > _UNWATCHED + _MOST_RATIO * self._came:
                    raise Undecodable
                return data
        return b""

    def _begin(self) -> zlib._Decompress:
        bits = self._bits
        if bits is None:  # "deflate" means zlib's format; some send the bare stream, whose first byte tells
            bits = _ZLIB if self._packed[0] & 0x0F == zlib.DEFLATED else _RAW
        return zlib.decompressobj(bits)
