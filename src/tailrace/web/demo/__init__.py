"""The live demo (`/demo`): prices, a log and a gauge that move while somebody looks at them."""

from __future__ import annotations

from tailrace.web.demo.demo import Demo

__all__ = ["Demo"]
