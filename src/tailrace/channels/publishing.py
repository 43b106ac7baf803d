"""Publishing to several channels in one go: all of it is looked at first, then each channel takes its part whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from tailrace.channels.names import entry_of, log_of
from tailrace.channels.state import StateChange, new_state
from tailrace.errors import InvalidEvent, InvalidName, StoreError, StoreUnavailable
from tailrace.log import Entry, NewState, Position, Store
from tailrace.log.state import after

__all__ = ["MOST_EVENTS", "Outcome", "Publication", "publish_all"]

log = logging.getLogger("tailrace")

MOST_EVENTS: Final = 1000
"""Events published in one go: a store takes a channel's part in one step, during which it does nothing else."""

Outcome: TypeAlias = Position | StoreError | InvalidEvent
"""Where an event is, or why it is nowhere: its channel took nothing."""


@dataclass(frozen=True, slots=True)
class Publication:
    """An event to publish, and what it does to its channel's state."""

    channel: str
    data: object
    event: str | None = None
    state: StateChange | None = None


@dataclass(slots=True)
class _Part:
    """What goes to one channel."""

    log: str
    entries: list[Entry] = field(default_factory=list)
    states: list[NewState] = field(default_factory=list)

    @property
    def state(self) -> NewState | None:
        """All that happens to its state, in order, as one change."""
        if len(self.states) < 2:
            return self.states[0] if self.states else None
        return self._fold

    def _fold(self, before: str | None) -> str:
        text = after(before, self.states[0])
        for state in self.states[1:]:
            text = after(text, state)
        return text


async def publish_all(
    store: Store, publications: Sequence[Publication], idempotency_key: str | None
) -> Sequence[Outcome]:
    """Publish each; what became of it, in the same order. Those of one channel are all there, or none.

    Raises `InvalidName` and `InvalidEvent`, which say which one it is, before anything is published.
    """
    if not 1 <= len(publications) <= MOST_EVENTS:
        raise InvalidEvent(f"1 to {MOST_EVENTS} events are published in one go, not {len(publications)}")
    parts: dict[str, _Part] = {}
    places = [_put(parts, number, publication) for number, publication in enumerate(publications)]
    outcomes = await asyncio.gather(*[_publish(store, part, idempotency_key) for part in parts.values()])
    by_channel = dict(zip(parts, outcomes, strict=True))
    return [_of_one(by_channel[channel], parts[channel], index) for channel, index in places]


def _put(parts: dict[str, _Part], number: int, publication: Publication) -> tuple[str, int]:
    """Put an event to its channel's part; its place there."""
    try:
        part = parts.setdefault(publication.channel, _Part(log_of(publication.channel)))
        part.entries.append(entry_of(publication.data, publication.event))
        if publication.state is not None:
            part.states.append(new_state(publication.state, publication.data))
    except (InvalidName, InvalidEvent) as error:
        raise type(error)(f"events[{number}]: {error}") from error
    return publication.channel, len(part.entries) - 1


async def _publish(store: Store, part: _Part, key: str | None) -> Outcome:
    try:
        return await store.publish(part.log, part.entries, _operation(key, len(part.entries)), part.state)
    except (StoreUnavailable, InvalidEvent) as error:
        return error
    except StoreError as error:  # the other channels have their parts all the same, and that has to be told
        log.exception("events for %s could not be stored", part.log)
        return error


def _operation(key: str | None, events: int) -> str | None:
    """What the store remembers a key as: it knows the place of the last event alone, from which the others' are told.

    So a key that came with another number of events is another one. No line feed, which sets a caller off from its key.
    """
    return key if key is None or events == 1 else f"{key} ({events} events)"


def _of_one(outcome: Outcome, part: _Part, index: int) -> Outcome:
    if not isinstance(outcome, Position):
        return outcome
    return Position(outcome.epoch, outcome.offset - (len(part.entries) - 1 - index))
