"""What a subscription does while the tail does not reach back to its cursor: it reads on from the store.

Readers near each other share the pages. What the store does not hold any more is told as a gap; a reader
whose store fails for good is cut, and can resume.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tailrace.errors import StoreError
from tailrace.hub.gap import skip_to
from tailrace.hub.pages import Place
from tailrace.hub.view import JOIN_BYTES
from tailrace.log.record import size_of

if TYPE_CHECKING:
    from tailrace.hub.subscription import Subscription

__all__ = ["read_on"]

log = logging.getLogger("tailrace")

FAR = 256
"""Records behind the head, or the bytes of one write, from which a reader is told more at a time where its view can."""
_END_OF_LOST = 15.0
"""Seconds in which a log that ends, and that the store has lost, has got its end from somebody."""


async def read_on(subscription: Subscription) -> None:
    """Read from the store until the tail takes over, or the subscription is closed."""
    try:
        with Place(subscription.view.tail) as place:
            while _is_behind(subscription):
                await subscription.wait_for_room()
                await _read_page(subscription, place)
    except StoreError as error:
        log.warning("a reader of %s was cut, since the store failed: %s", subscription.view.tail.log, error)
        subscription.abort("store")
    except Exception:
        log.exception("a reader of %s was cut", subscription.view.tail.log)
        subscription.abort("failed")


def _is_behind(subscription: Subscription) -> bool:
    tail = subscription.view.tail
    return not subscription.closed and subscription.epoch == tail.epoch and tail.since(subscription.cursor) is None


async def _read_page(subscription: Subscription, place: Place) -> None:
    tail, before = subscription.view.tail, subscription.cursor
    page = await place.read(before)
    await subscription.wait_for_room()  # a heartbeat may have filled the sink meanwhile
    if not _is_behind(subscription):
        return
    cursor = subscription.cursor
    if page is None:
        await _wait_for_end(subscription)
    elif page.head.epoch != subscription.epoch:
        tail.begin_epoch(page.head.epoch)
        tail.reread()
    elif cursor < page.head.first - 1:
        skip_to(subscription, page.head.first - 1)
    # Not past the head: what the tail has not heard of yet, it will see to itself.
    elif records := [record for record in page.records if cursor < record.offset <= tail.head]:
        # One write up to a hole at most: frames are counted by offsets. The next one goes on behind it.
        first = records[0].offset
        unbroken = [record for offset, record in enumerate(records, first) if record.offset == offset]
        # An end that its producer did not write stands far above all else: then this page has it.
        far = (tail.head - cursor > FAR and records[-1].offset < tail.head) or size_of(records) > JOIN_BYTES
        subscription.put(subscription.view.join_records(first - 1, unbroken, folded=far))
    elif cursor == before:
        raise StoreError(f"the log has nothing past {before}, though its head is {tail.head}")


async def _wait_for_end(subscription: Subscription) -> None:
    """The store has lost the log. One that ends gets an end all the same, from its producer or in its place."""
    tail = subscription.view.tail
    if subscription.lasting or tail.ended or not await tail.wait_for(lambda: tail.ended, _END_OF_LOST):
        raise StoreError("the log is gone")
