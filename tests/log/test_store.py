"""The values that a store takes."""

from __future__ import annotations

import pytest

from tailrace.log import Batch, Record
from tests.log.store_contract import records


@pytest.mark.parametrize("said", [[], [*records(1, 1), *records(3, 3)], [*records(2, 2), *records(2, 2)]])
def test_a_batch_that_is_no_piece_of_a_log_is_refused(said: list[Record]) -> None:
    with pytest.raises(ValueError, match="consecutive"):
        Batch("r", "e", said)
