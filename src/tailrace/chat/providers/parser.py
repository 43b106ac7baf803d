"""Reading an answer out of its events, without I/O: what the parsers of all kinds have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from tailrace.chat import failures
from tailrace.errors import ProviderError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tailrace.runs.deltas import Delta
    from tailrace.sse import Event

__all__ = ["Paired", "Parser", "ToolCalls"]

Paired: TypeAlias = "tuple[Event | None, list[Delta]]"
"""An event and what it said. None where the event is nothing that another client may see: it reports a failure."""

_ENDING = (ProviderError, msgspec.DecodeError, RecursionError)
"""What ends an answer: an error that the frame reports, else one that cannot be read."""


class Parser(ABC):
    """Turns the events of one answer into deltas.

    Call `feed` with events as they come until `finished` or `failure` is set; after that it returns
    nothing more. It does not raise, so that what was said before a failure is never lost with it.
    """

    def __init__(self) -> None:
        self.finished = False
        """The provider's own terminal was seen: the answer is complete."""
        self.failure: ProviderError | None = None
        """What ended the answer instead: an error that the provider reported, or a frame that cannot be read."""

    @property
    def ended(self) -> bool:
        """Nothing more of this answer can follow."""
        return self.finished or self.failure is not None

    def feed(self, events: Iterable[Event]) -> list[Delta]:
        """Return the deltas of `events`, in order; events that say nothing new add none."""
        deltas: list[Delta] = []
        if self.ended:
            return deltas
        read = self._read
        try:
            for event in events:
                data = event.data
                if data:  # gateways send blocks without content; they say nothing
                    read(data, deltas)
                    if self.finished:
                        break
        except _ENDING as error:
            self._fail(error)
        return deltas

    def pair(self, events: Iterable[Event]) -> list[Paired]:
        """Return the events one by one, each with its deltas, for whoever relays them as they are.

        Like `feed` in all else. An event without content is left out.
        """
        paired: list[Paired] = []
        if self.ended:
            return paired
        read = self._read
        deltas: list[Delta] = []
        try:
            for event in events:
                data = event.data
                if data:
                    deltas = []
                    read(data, deltas)
                    paired.append((event, deltas))
                    if self.finished:
                        break
        except _ENDING as error:
            self._fail(error)
            if deltas:
                paired.append((None, deltas))
        return paired

    def _fail(self, error: Exception) -> None:
        if isinstance(error, ProviderError):
            self.failure = error
        else:
            self.failure = failures.malformed("a frame that this kind of provider does not send")
            self.failure.__cause__ = error

    @abstractmethod
    def _read(self, data: str, deltas: list[Delta]) -> None:
        """Append what one frame says.

        Raises:
            ProviderError: the frame reports an error.
            msgspec.DecodeError: the frame cannot be read.
        """


class ToolCalls:
    """Numbers an answer's tool calls from 0 in the order in which they begin, whatever the provider counts by."""

    __slots__ = ("_count", "_open")

    def __init__(self) -> None:
        self._open: dict[int, int] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def begin(self, key: int) -> int:
        """Return the number of a new call, known by the provider's `key` from now on."""
        index = self._open[key] = self._count
        self._count += 1
        return index

    def get(self, key: int) -> int | None:
        """Return the number of the call that the provider's `key` names now; None where it names no call."""
        return self._open.get(key)
