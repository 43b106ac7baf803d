"""Telling a connected reader that the log does not hold any more what it had not had yet.

One whose dialect has no word for that would take what follows for the whole, so its stream is broken off instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.log import RESERVED, Position

if TYPE_CHECKING:
    from tailrace.hub.subscription import Subscription

__all__ = ["change_epoch", "skip_to"]


def skip_to(subscription: Subscription, offset: int) -> None:
    """Go on at a place that some of the reader's records are missing before; it is told how many.

    Before an end that its producer did not write, nobody knows how many there were.
    """
    missed = offset - subscription.cursor if offset < RESERVED else None
    _go_on(subscription, Position(subscription.epoch, offset), missed, "trimmed")


def change_epoch(subscription: Subscription) -> None:
    """Go on at the beginning of the log's new epoch: nobody knows what the reader missed of the old one."""
    _go_on(subscription, Position(subscription.view.tail.epoch, 0), None, "unknown")


def _go_on(subscription: Subscription, place: Position, missed: int | None, reason: str) -> None:
    end = subscription.view.renderer.broken()
    if end is not None:
        subscription.end_with(end, "lost")
        return
    subscription.hub.meter.add("gaps", 1, (reason,))
    subscription.epoch, subscription.cursor = place
    subscription.told = place.offset
    subscription.say("gap", {"missed": missed, "reason": reason}, place)
