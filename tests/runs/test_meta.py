"""What a run's log is created with."""

from __future__ import annotations

import json

import pytest

from tailrace.runs.meta import RunMeta


@pytest.mark.parametrize(
    "meta",
    [RunMeta(None, ""), RunMeta("ann", "p"), RunMeta("ann", "p", "i1", 900.0, "m"), RunMeta(None, "", "i1", None)],
)
def test_what_is_written_is_read(meta: RunMeta) -> None:
    assert RunMeta.parse(str(meta)) == meta


def test_where_no_store_is_shared_nobody_is_named() -> None:
    assert json.loads(str(RunMeta("ann", "p"))) == {"owner": "ann", "provider": "p"}
