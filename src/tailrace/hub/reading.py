"""What a reader gets of a log: everything that has to be known before the first byte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tailrace.hub.renderer import Renderer
from tailrace.hub.sink import Framing
from tailrace.hub.subscription import Subscription
from tailrace.hub.tail import Tail
from tailrace.log import Position

__all__ = ["Reading"]


@dataclass(frozen=True, slots=True)
class Reading:
    """A way through a log, not begun yet.

    It reads on past the offset `after`, as the log is now. `prelude` are events of ours that come first
    (`ready`, `resume`, `snapshot`). `lasting` says that the log has no end of its own. `on_closed` is called
    once, when the reader is gone or has everything. A reading holds one use of its tail, and must be begun
    or closed.
    """

    tail: Tail
    renderer: Renderer
    after: int
    prelude: bytes = b""
    lasting: bool = False
    on_closed: Callable[[], None] | None = None
    epoch: str = field(init=False)

    def __post_init__(self) -> None:
        """Keep the epoch that `after` is of: the log may have another by the time the reading is begun."""
        object.__setattr__(self, "epoch", self.tail.epoch)

    def begin(self, framing: Framing) -> Subscription:
        """Make a subscription of it, to be bound to a sink or closed."""
        view, cursor = self.tail.view(self.renderer, framing), Position(self.epoch, self.after)
        subscription = Subscription(view, cursor, self.on_closed, lasting=self.lasting)
        self.tail.hub.close(self.tail)  # the subscription has a use of its own
        return subscription

    def close(self) -> None:
        """Let go of it unread."""
        self.tail.hub.close(self.tail)
        if self.on_closed is not None:
            self.on_closed()
