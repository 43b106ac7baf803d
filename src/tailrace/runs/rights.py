"""Who may have a run: whoever it belongs to, or one to whom all runs are open."""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal

__all__ = ["ALL_RUNS", "Reader", "may_have"]


class _Right(Enum):
    ALL_RUNS = "all runs"


ALL_RUNS: Final = _Right.ALL_RUNS
"""Stands where an owner would, for whoever may have every run. No owner, whatever they are called, is this."""

Reader = str | Literal[_Right.ALL_RUNS] | None
"""Who asks for a run: an owner, None for nobody in particular, or `ALL_RUNS`."""


def may_have(belongs_to: str | None, reader: Reader) -> bool:
    """Whether a run is open to a reader; one that belongs to nobody is open to whoever knows its id."""
    return belongs_to is None or reader is ALL_RUNS or reader == belongs_to
