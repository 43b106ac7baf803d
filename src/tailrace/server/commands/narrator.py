"""What happens to a connection, in words for the person who waits for its data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.client import Connected, Reconnecting, Resumed
from tailrace.server.commands.terminal import note

if TYPE_CHECKING:
    from tailrace.client import Notice

__all__ = ["Narrator", "missed"]


_REASONS = {
    "trimmed": "they are older than what the channel keeps",
    "unknown": "the channel's history was lost or deleted",
    "ahead": "the channel's history was lost or deleted",
}


def missed(count: int | None, reason: str) -> str:
    """Return a remark about events that are lost."""
    events = "an unknown number of events" if count is None else f"{count} event{'' if count == 1 else 's'}"
    return f"missed {events} ({_REASONS.get(reason, reason)})"


class Narrator:
    """Tells what happens to a connection; silent as long as nothing does.

    `lead` stands before each remark: a line break, where the line that the data is on may be unfinished.
    """

    def __init__(self, lead: str = "") -> None:
        self._lead = lead
        self._away = False

    def __call__(self, notice: Notice) -> None:
        """Tell about one notice."""
        if isinstance(notice, Reconnecting):
            self._away = True
            note(f"{self._lead}{notice.reason}; reconnecting in {notice.delay:.1f} s")
        elif isinstance(notice, Resumed) and self._away and notice.recovered:
            self._away = False
            note("resumed, nothing missed")
        elif isinstance(notice, Connected) and self._away:
            note("connected again")
