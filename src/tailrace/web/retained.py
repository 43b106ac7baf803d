"""What channels retain, as JSON for those who look rather than follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tailrace.channels import History
from tailrace.log.positions import Positions

__all__ = ["retained", "retained_of_several"]


def retained(channel: str, history: History, only: frozenset[str]) -> dict[str, Any]:
    """The events, the id to go on from, and what became of the cursor, where one was sent.

    `only` keeps these types, if there are any; the id is behind what it hides, too.
    """
    epoch, verdict = history.position.epoch, history.verdict
    shown: dict[str, Any] = {
        "channel": channel,
        "id": str(history.position),
        "events": [
            {"id": f"{epoch}-{record.offset}", "event": record.event or "message", "data": record.data, "at": record.at}
            for record in history.records
            if not only or (record.event or "message") in only
        ],
    }
    if verdict is not None:
        shown["resume"] = {"recovered": verdict.recovered, "reason": verdict.reason, "missed": verdict.missed}
    return shown


def retained_of_several(histories: Mapping[str, History], only: frozenset[str]) -> dict[str, Any]:
    """The same for each of several channels, and one id to go on from in all of them."""
    positions = Positions([histories[name].position for name in sorted(histories)])
    channels = {name: retained(name, history, only) for name, history in histories.items()}
    return {"id": str(positions), "channels": channels}
