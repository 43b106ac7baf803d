"""Floor 1: logs. Append-only, named, with positions that survive whoever reads them."""

from __future__ import annotations

from tailrace.log.memory import MemoryCoordination, MemoryStore
from tailrace.log.position import Position, new_epoch, new_run_id
from tailrace.log.record import Entry, Record
from tailrace.log.retention import FOREVER, Retention
from tailrace.log.state import Fold, NewState, Snapshot
from tailrace.log.store import RESERVED, Batch, Coordination, Follower, Head, Page, Store
from tailrace.log.verdict import Reason, Verdict, judge
from tailrace.log.writer import Writer

__all__ = [
    "FOREVER",
    "RESERVED",
    "Batch",
    "Coordination",
    "Entry",
    "Fold",
    "Follower",
    "Head",
    "MemoryCoordination",
    "MemoryStore",
    "NewState",
    "Page",
    "Position",
    "Reason",
    "Record",
    "Retention",
    "Snapshot",
    "Store",
    "Verdict",
    "Writer",
    "judge",
    "new_epoch",
    "new_run_id",
]
