"""The place of one stream among its caller's and this process's, given back exactly once."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Place"]


class Place:
    """Taken when a request is let in. It ends with the request, unless a stream that outlives it keeps it."""

    __slots__ = ("_give_back", "_kept")

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back: Callable[[], None] | None = give_back
        self._kept = False

    def keep(self) -> Callable[[], None]:
        """Hold it beyond the request; call what is returned when the stream is over."""
        self._kept = True
        return self.give_back

    def leave(self) -> None:
        """End with the request, unless it is kept."""
        if not self._kept:
            self.give_back()

    def give_back(self) -> None:
        """Give it back; a second time nothing happens."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()
