"""Floor 2: who reads. Tails, views, subscriptions and sinks, and one timer wheel."""

from __future__ import annotations

from tailrace.hub.confluence import Confluence
from tailrace.hub.departure import Departure
from tailrace.hub.expiry import expire
from tailrace.hub.hub import Dismissal, Hub, HubOptions
from tailrace.hub.reading import Reading
from tailrace.hub.renderer import EventRenderer, Folding, Renderer, control, resume
from tailrace.hub.several import SeveralReading, SeveralRenderer
from tailrace.hub.sink import Consumer, Framing, Sink
from tailrace.hub.subscription import Subscription
from tailrace.hub.tail import Tail
from tailrace.hub.view import Joined, View
from tailrace.hub.wheel import Timed, Wheel

__all__ = [
    "Confluence",
    "Consumer",
    "Departure",
    "Dismissal",
    "EventRenderer",
    "Folding",
    "Framing",
    "Hub",
    "HubOptions",
    "Joined",
    "Reading",
    "Renderer",
    "SeveralReading",
    "SeveralRenderer",
    "Sink",
    "Subscription",
    "Tail",
    "Timed",
    "View",
    "Wheel",
    "control",
    "expire",
    "resume",
]
