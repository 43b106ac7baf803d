"""Floor 3: channels, which are named logs without an end, that anybody may publish to and read from."""

from __future__ import annotations

from tailrace.channels.channels import Channels
from tailrace.channels.history import History
from tailrace.channels.names import RESERVED
from tailrace.channels.presence import Presence, Viewers
from tailrace.channels.publishing import Outcome, Publication
from tailrace.channels.state import StateChange

__all__ = ["RESERVED", "Channels", "History", "Outcome", "Presence", "Publication", "StateChange", "Viewers"]
