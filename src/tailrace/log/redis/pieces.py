"""What producers append, cut to the size of calls: batches that follow each other are one, and no call is too large."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tailrace.log.redis.messages import pack
from tailrace.log.store import Batch

__all__ = ["Piece", "grouped", "joined"]

_GROUP_RECORDS: Final = 5000
_GROUP_BYTES: Final = 1_048_576
"""What is appended in one go, so that the reply is not late for its size, and nobody else waits long."""


class Piece:
    """Records that follow each other in one log: a batch, or several that came together."""

    __slots__ = ("ends", "epoch", "first", "keep", "log", "packed", "size")

    def __init__(self, batch: Batch) -> None:
        self.log = batch.log
        self.epoch = batch.epoch
        self.first = batch.records[0].offset
        self.packed: list[bytes] = []
        self.size = 0
        self.add(batch)

    def add(self, batch: Batch) -> None:
        """Put a batch behind what is here."""
        packed = [pack(event, data, at) for _, event, data, at in batch.records]
        self.packed += packed
        self.size += sum(map(len, packed))
        self.ends = batch.ends
        self.keep = batch.keep

    def goes_on_with(self, batch: Batch) -> bool:
        """Whether a batch is what comes next here, and there is room for it."""
        next_offset = self.first + len(self.packed)
        follows = batch.epoch == self.epoch and batch.records[0].offset == next_offset and not self.ends
        return follows and self.size < _GROUP_BYTES


def joined(batches: Sequence[Batch]) -> list[Piece]:
    """Batches as few pieces: after an interruption a run has many, and each piece is a call."""
    pieces: list[Piece] = []
    newest: dict[str, Piece] = {}
    for batch in batches:
        piece = newest.get(batch.log)
        if piece is not None and piece.goes_on_with(batch):
            piece.add(batch)
        else:
            newest[batch.log] = piece = Piece(batch)
            pieces.append(piece)
    return pieces


def grouped(pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    """Pieces in groups of bounded size."""
    begin = records = size = 0
    for end, piece in enumerate(pieces, 1):
        records += len(piece.packed)
        size += piece.size
        if records >= _GROUP_RECORDS or size >= _GROUP_BYTES or end == len(pieces):
            yield pieces[begin:end]
            begin, records, size = end, 0, 0
