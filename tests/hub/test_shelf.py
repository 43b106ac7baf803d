"""What pages may hold all together."""

from __future__ import annotations

import pytest

from tailrace.hub.shelf import PAGE_BYTES, READINGS, SHELF_BYTES, Shelf, Shelved
from tailrace.hub.view import JOIN_BYTES
from tailrace.log import Head, Page, Record


def page_of(first: int, last: int, size: int) -> Page:
    """A page of records with that many characters each."""
    records = [Record(offset, "", "x" * size, 0.0) for offset in range(first, last + 1)]
    return Page(Head("e", 1, 1000), records)


def test_a_page_reads_on_for_whoever_stands_before_its_last_record_and_not_before_its_place() -> None:
    page = Shelved(9, page_of(10, 12, 1), lambda _: None)
    assert [offset for offset in range(20) if page.covers(offset)] == [9, 10, 11]


def test_what_was_used_longest_ago_goes_where_too_much_is_held() -> None:
    gone: list[Shelved] = []
    shelf = Shelf()
    pages = [Shelved(number, page_of(number + 1, number + 1, SHELF_BYTES // 4), gone.append) for number in range(5)]
    for page in pages[:3]:
        shelf.put(page)
    shelf.use(pages[0])
    for page in pages[3:]:
        shelf.put(page)
    assert gone == [pages[1], pages[2]]
    assert [page in shelf for page in pages] == [True, False, False, True, True]
    assert shelf.bytes == sum(page.size for page in pages if page in shelf) <= SHELF_BYTES
    shelf.remove(pages[1])
    assert gone == [pages[1], pages[2]]


def test_a_page_that_is_larger_than_all_may_be_stays_alone() -> None:
    shelf = Shelf()
    small, large = (Shelved(0, page_of(1, 1, size), lambda _: None) for size in (1, SHELF_BYTES))
    shelf.put(small)
    shelf.put(large)
    assert (len(shelf), large in shelf) == (1, True)


@pytest.mark.parametrize(
    ("readers", "share"), [(0, PAGE_BYTES), (1, PAGE_BYTES), (32, PAGE_BYTES // 2), (100_000, JOIN_BYTES)]
)
def test_where_many_are_behind_each_reads_less_at_once_but_never_less_than_one_write(readers: int, share: int) -> None:
    shelf = Shelf()
    shelf.readers = readers
    assert shelf.share == share
    assert READINGS * PAGE_BYTES <= SHELF_BYTES
