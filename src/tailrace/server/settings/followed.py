"""[sources.<name>]: files whose lines are published."""

from __future__ import annotations

from typing import Literal

import msgspec

from tailrace.channels.names import entry_of, log_of
from tailrace.errors import InvalidEvent, InvalidName, SettingsError
from tailrace.server.settings.section import NonEmpty, Section

__all__ = ["Source"]


class Source(Section, frozen=True, kw_only=True):
    """A file, and the channel that its lines go to, each as an event of the type `event`, if that is given."""

    file: NonEmpty
    """A relative path is meant from the settings file."""
    channel: str
    event: str | None = None
    start: Literal["end", "start"] = msgspec.field(default="end", name="from")
    """Where to begin in a file that was never followed before."""

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            log_of(self.channel)
        except InvalidName as problem:
            raise SettingsError(f"channel: {problem}") from None
        try:
            entry_of("", self.event)
        except (InvalidName, InvalidEvent, ValueError) as problem:
            raise SettingsError(f"event: {problem}") from None
