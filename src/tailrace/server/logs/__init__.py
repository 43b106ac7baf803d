"""What a server says of itself, on standard error: one line for each thing, for programs or for people.

`formats` makes the lines, `output` writes them and waits for nobody. Nothing that was asked or answered is in them,
unless an operator wants it, and no secret ever.
"""

from __future__ import annotations

from tailrace.server.logs.setup import configure, lost_lines, say

__all__ = ["configure", "lost_lines", "say"]
