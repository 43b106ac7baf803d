"""What the operations page shows, and how it gets there.

`standing` looks where each stream stands, `rates` how fast things go, `report` puts both into what one process says.
`exchange` is where the processes that share a store say it, while somebody looks, and `orders` what they are told.
"""

from __future__ import annotations

from tailrace.web.operations.orders import Orders
from tailrace.web.operations.report import Reporter

__all__ = ["Orders", "Reporter"]
