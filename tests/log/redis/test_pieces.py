"""What is appended, cut to calls: nothing is lost, doubled or put out of order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tailrace.log import Batch
from tailrace.log.redis import pieces
from tailrace.log.redis.messages import pack, unpack
from tailrace.log.redis.pieces import grouped, joined
from tests.log.store_contract import records

SIZES = st.lists(st.tuples(st.sampled_from("rst"), st.integers(1, 4), st.sampled_from(["next", "again", "gap", "end"])))


def batches(sizes: list[tuple[str, int, str]]) -> list[Batch]:
    """What producers said, some of it twice, some of it missing."""
    made: list[Batch] = []
    ends: dict[str, int] = {}
    for log, size, how in sizes:
        last = ends.get(log, 0)
        first = {"again": max(1, last), "gap": last + 2}.get(how, last + 1)
        made.append(Batch(log, "e", records(first, first + size - 1), how == "end", 5 if how == "end" else None))
        ends[log] = first + size - 1
    return made


@given(SIZES)
def test_pieces_say_of_each_log_what_its_batches_said(sizes: list[tuple[str, int, str]]) -> None:
    made = batches(sizes)
    cut = joined(made)
    for log in "rst":
        said = [record for batch in made if batch.log == log for record in batch.records]
        pieces_of_it = [piece for piece in cut if piece.log == log]
        told = [unpack(piece.first + i, packed) for piece in pieces_of_it for i, packed in enumerate(piece.packed)]
        assert told == said
        ends = [batch.records[-1].offset for batch in made if batch.log == log and batch.ends]
        assert [piece.first + len(piece.packed) - 1 for piece in pieces_of_it if piece.ends] == ends
        assert all(piece.keep == (5 if piece.ends else None) for piece in pieces_of_it)
        assert all(piece.size == sum(map(len, piece.packed)) for piece in pieces_of_it)


@given(SIZES)
def test_groups_are_the_pieces_in_their_order(sizes: list[tuple[str, int, str]]) -> None:
    cut = joined(batches(sizes))
    groups = list(grouped(cut))
    assert [piece for group in groups for piece in group] == cut
    assert all(groups)


def test_what_follows_is_one_piece_up_to_an_end_or_a_hole() -> None:
    said = [
        Batch("r", "e", records(1, 2)),
        Batch("s", "e", records(1, 1)),
        Batch("r", "e", records(3, 3)),
        Batch("r", "f", records(4, 4)),
        Batch("r", "f", records(5, 5), ends=True),
        Batch("r", "f", records(6, 6)),
        Batch("r", "f", records(8, 8)),
    ]
    shapes = [(piece.log, piece.epoch, piece.first, len(piece.packed), piece.ends) for piece in joined(said)]
    assert shapes == [
        ("r", "e", 1, 3, False),
        ("s", "e", 1, 1, False),
        ("r", "f", 4, 2, True),
        ("r", "f", 6, 1, False),
        ("r", "f", 8, 1, False),
    ]


def test_pieces_and_groups_have_a_bound() -> None:
    text = "x" * (pieces._GROUP_BYTES // 4)
    said = [Batch(log, "e", records(i, i, text)) for i in range(1, 21) for log in "rs"]
    cut = joined(said)
    one = len(pack("", f"{text}1", 1_700_000_000.0)) + 2
    assert len(cut) == 10
    assert all(piece.size < pieces._GROUP_BYTES + one for piece in cut)
    assert all(len(group) == 1 for group in grouped(cut))
    small = [Batch(f"r{i}", "e", records(1, 10)) for i in range(1200)]
    assert [sum(len(piece.packed) for piece in group) for group in grouped(joined(small))] == [5000, 5000, 2000]
