"""What operators read of a server: `catalog` says what is counted, `figures` gathers it, `exposition` shows it."""

from __future__ import annotations

from tailrace.server.metrics.figures import Figures
from tailrace.server.metrics.runs import named_targets

__all__ = ["Figures", "named_targets"]
