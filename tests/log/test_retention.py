"""Bounds on what is kept."""

from __future__ import annotations

import pytest

from tailrace.log import Retention


@pytest.mark.parametrize("bound", ["events", "bytes", "age"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_bound_that_would_keep_nothing_is_refused(bound: str, value: int) -> None:
    with pytest.raises(ValueError, match=bound):
        Retention(**{bound: value})
