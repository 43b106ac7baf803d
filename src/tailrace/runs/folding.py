"""What lies far behind the head of a run in fewer and larger pieces, for whoever is late.

Neighbours that say the same kind of thing become one record, at the place of the last of them; the others say nothing
any more. So there are as many records at the same offsets, they come to the same answer, and a cursor between any two
of them means what it meant before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from tailrace.log import Record

__all__ = ["FOLDED_BYTES", "fold"]

FOLDED_BYTES: Final = 65_000
"""Of one folded record, in UTF-8: with its type and its id the event stays below 64 KiB."""

_TEXT: Final = '{"text":"'
_ARGUMENTS: Final = ',"arguments":"'
_END: Final = '"}'
_INDEX: Final = re.compile(r'\{"index":(\d+),', re.ASCII)


class _Piece(NamedTuple):
    """A record that may be told together with others: what stands before what it adds, and that, still escaped.

    Those of one `kind` add to each other; one that `opens` adds to nothing before it.
    """

    kind: tuple[str, str]
    head: str
    said: str
    opens: bool = False

    @property
    def size(self) -> int:
        """Bytes in UTF-8."""
        text = self.head + self.said + _END
        return len(text) if text.isascii() else len(text.encode())


def fold(records: Sequence[Record]) -> list[Record]:
    """Return the records with neighbours told as one; what such a one stands for has no data any more."""
    folded = list(records)
    for group in _groups(records):
        *before, last = group
        for index, _ in before:
            folded[index] = records[index]._replace(data=None)
        head = group[0][1].head
        said = "".join([piece.said for _, piece in group])
        index = last[0]
        folded[index] = records[index]._replace(data=f"{head}{said}{_END}")
    return folded


def _groups(records: Sequence[Record]) -> Iterator[list[tuple[int, _Piece]]]:
    """The neighbours that are told as one, by their index; records that say nothing part nobody."""
    group: list[tuple[int, _Piece]] = []
    size = 0
    for index, (_, event, data, _) in enumerate(records):
        if data is None:
            continue
        piece = _piece(event, data)
        added = piece.size if piece is not None else 0
        if piece is not None and group and _adds(group[0][1], piece) and size + added <= FOLDED_BYTES:
            group.append((index, piece))
            size += added
            continue
        if len(group) > 1:
            yield group
        group, size = ([] if piece is None else [(index, piece)]), added
    if len(group) > 1:
        yield group


def _adds(first: _Piece, piece: _Piece) -> bool:
    return first.kind == piece.kind and not piece.opens


def _piece(event: str, data: str) -> _Piece | None:
    """What a record adds to those before; None where it stands alone. Cut by hand: to parse it takes ten times that."""
    if not data.endswith(_END):
        return None
    if event in {"", "thinking"}:
        said = data[len(_TEXT) : -len(_END)]
        # A quote inside of the text is escaped, so this would be another member.
        alone = not data.startswith(_TEXT) or '","' in said
        return None if alone else _Piece((event, ""), _TEXT, said)
    if event == "tool":
        return _fragment(data)
    return None


def _fragment(data: str) -> _Piece | None:
    head, separator, rest = data.partition(_ARGUMENTS)
    index = _INDEX.match(head)
    said = rest[: -len(_END)]
    if index is None or not separator or '","' in said:
        return None
    goes_on = head == f'{{"index":{index[1]},"id":"","name":""'
    return _Piece(("tool", index[1]), head + separator, said, opens=not goes_on)
