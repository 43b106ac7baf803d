"""Decoder and encoder: the workloads of `wire.py`, as rows of the one report."""

from __future__ import annotations

from collections.abc import Mapping

from rig.row import Row, Target, at_most
from wire import OURS, Timing, measure

__all__ = ["run"]

_TARGETS: Mapping[str, Target] = {"read": at_most(0.7), "write": at_most(0.2)}


def run(*, quick: bool) -> list[Row]:
    timings = measure(quick=quick)
    ours = {timing.workload: timing.nanoseconds for timing in timings if timing.contestant == OURS}
    return [_row(timing, ours[timing.workload]) for timing in timings]


def _row(timing: Timing, ours: float) -> Row:
    what, figure = f"{timing.workload}: {timing.contestant}", timing.nanoseconds / 1e3
    if timing.contestant == OURS:
        return Row("codec", what, figure, "us", target=_TARGETS[timing.workload.split()[0]])
    return Row("codec", what, figure, "us", timing.nanoseconds / ours, OURS)
