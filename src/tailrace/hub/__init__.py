"""Floor 2: who reads. Tails, views, subscriptions and sinks, and one timer wheel."""

from __future__ import annotations

from tailrace.hub.departure import Departure
from tailrace.hub.hub import Dismissal, Hub, HubOptions
from tailrace.hub.reading import Reading
from tailrace.hub.renderer import EventRenderer, Renderer, control, resume
from tailrace.hub.sink import Consumer, Framing, Sink
from tailrace.hub.subscription import Subscription
from tailrace.hub.tail import Tail
from tailrace.hub.view import Joined, View
from tailrace.hub.wheel import Timed, Wheel

__all__ = [
    "Consumer",
    "Departure",
    "Dismissal",
    "EventRenderer",
    "Framing",
    "Hub",
    "HubOptions",
    "Joined",
    "Reading",
    "Renderer",
    "Sink",
    "Subscription",
    "Tail",
    "Timed",
    "View",
    "Wheel",
    "control",
    "resume",
]
