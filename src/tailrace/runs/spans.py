"""A run as a part of what somebody follows across services, as an interface. Who keeps it is left to `server`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tailrace.runs.account import Ended

__all__ = ["Span"]


class Span(Protocol):
    """One run's. A run that was never begun, since another one stood already, never ends it."""

    @property
    def ids(self) -> tuple[str, str]:
        """The trace that it belongs to, and itself in it; in hexadecimal, as logs name them."""
        ...

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What a request that is made for it carries, so that what it causes elsewhere belongs to it."""
        ...

    def ended(self, ended: Ended) -> None:
        """Hear how the run ended. Must not block or raise."""
        ...
