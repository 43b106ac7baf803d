"""What a reader gets of a log: everything that has to be known before the first byte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tailrace.hub.renderer import Renderer
from tailrace.hub.sink import Framing
from tailrace.hub.subscription import Subscription
from tailrace.hub.tail import Tail

__all__ = ["Reading"]


@dataclass(frozen=True, slots=True)
class Reading:
    """A way through a log, not begun yet.

    It reads on past the offset `after`. `prelude` are events of ours that come first (`ready`, `resume`,
    `snapshot`). `lasting` says that the log has no end of its own. `on_closed` is called once, when the
    reader is gone or has everything. A reading holds one use of its tail, and must be begun or closed.
    """

    tail: Tail
    renderer: Renderer
    after: int
    prelude: bytes = b""
    lasting: bool = False
    on_closed: Callable[[], None] | None = None

    def begin(self, framing: Framing) -> Subscription:
        """Make a subscription of it, to be bound to a sink or closed."""
        view = self.tail.view(self.renderer, framing)
        subscription = Subscription(view, self.after, self.on_closed, lasting=self.lasting)
        self.tail.hub.close(self.tail)  # the subscription has a use of its own
        return subscription

    def close(self) -> None:
        """Let go of it unread."""
        self.begin(Framing.PLAIN).on_closed("gone")
