"""Whether a reader's peer still takes what it is owed, and when that has to be looked at again.

A peer that reads slowly acknowledges something now and then, one that is stuck, or whose network is gone, does not.
Only that is judged here, from what a sink says of it; what follows from it is the subscription's affair.
"""

from __future__ import annotations

from tailrace.hub.sink import Sink

__all__ = ["Patience"]

_LOOKS = 6
"""How often it is looked, within the write timeout, whether the peer takes anything."""


class Patience:
    """What was seen of one peer. `heard_at` is when it was last seen to be owed nothing, or to take something."""

    __slots__ = ("_acknowledged", "_owed", "heard_at")

    def __init__(self) -> None:
        self.heard_at = 0.0
        self._acknowledged = 0
        self._owed = False  # whether it had not taken everything when it was last looked

    def begin(self, sink: Sink, now: float) -> None:
        """Count from now on: the sink has just become full."""
        self._acknowledged, self._owed = sink.acknowledged(), True
        self.heard_at = now

    def is_paid(self, wrote_at: float) -> bool:
        """Whether nothing was written since the peer was last seen to be owed nothing."""
        return not self._owed and wrote_at < self.heard_at

    def is_over(self, sink: Sink, wrote_at: float, now: float, timeout: float, *, full: bool) -> bool:
        """Whether the peer, being owed something, has taken nothing for too long (`timeout` in seconds).

        Where the sink has room still, what is owed may have been owed since the look before, so two looks less
        are waited: a peer whose network is gone is found within the write timeout.
        """
        if self.is_paid(wrote_at):
            return False
        acknowledged, owed = sink.acknowledged(), sink.backlog() > 0
        if not (owed and self._owed) or acknowledged != self._acknowledged:
            self.heard_at = now
        self._acknowledged, self._owed = acknowledged, owed
        return now - self.heard_at >= (timeout if full else timeout * (1 - 2 / _LOOKS))

    def next_look(self, now: float, timeout: float, *, full: bool) -> float:
        """Seconds to the next look at a peer that is owed something."""
        look = timeout / _LOOKS
        return min(look, self.heard_at + timeout - now) if full else look
