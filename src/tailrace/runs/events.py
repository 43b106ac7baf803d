"""Who hears what becomes of a run that is produced here: this process's registry, and its hold on its runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tailrace.observe import Durations
from tailrace.runs.account import Ended, report

if TYPE_CHECKING:
    from tailrace.runs.run import Run

__all__ = ["RunEvents"]


@dataclass(frozen=True, slots=True)
class RunEvents:
    """Who hears of a run: `ended` when it comes to its end, `stored` when the store has all of it; each once.

    Where others share the store: `refused` when it takes nothing more of this run, once; `deserted` when
    nobody has watched it here for its grace period, to be answered with `Run.found`. `certain` says whether
    nobody else can have ended it by now, `presumed_dead` whether it is likely that somebody has.

    `watched` hears that somebody came or left who watches it, by its log. `reported` hears how one that was begun has
    ended, and what it took, once. `gaps` are the seconds between what producers yielded.
    """

    ended: Callable[[Run], None]
    stored: Callable[[Run], None]
    refused: Callable[[Run], None] | None = None
    deserted: Callable[[Run], None] | None = None
    certain: Callable[[], bool] = lambda: True
    presumed_dead: Callable[[], bool] = lambda: False
    watched: Callable[[str], None] = lambda _: None
    reported: Callable[[Ended], None] = report
    gaps: Durations = field(default_factory=Durations)
