"""What one process says of itself to whoever looks at the operations page."""

from __future__ import annotations

import os
import socket
import time
from typing import Any, Final

from tailrace import __version__
from tailrace.chat.gateway import Gateway
from tailrace.facade import Tailrace
from tailrace.web.health import resident_bytes, status_of
from tailrace.web.operations.rates import Rates
from tailrace.web.operations.standing import standings

__all__ = ["Reporter"]

_MOST_STREAMS: Final = 100


class Reporter:
    """Reports of one process, which goes by `name`: this start of it, and no other."""

    def __init__(self, tailrace: Tailrace, gateway: Gateway, name: str) -> None:
        self._tailrace = tailrace
        self._gateway = gateway
        self._rates = Rates(tailrace)
        self._started = time.time()
        self._zero = self._started - tailrace.hub.clock.monotonic()
        self._who = {"id": name, "host": socket.gethostname(), "pid": os.getpid(), "version": __version__}

    def report(self) -> dict[str, Any]:
        """Everything of this moment, in what JSON can carry. Times are in Unix seconds."""
        tailrace, store = self._tailrace, self._tailrace.hub.store
        subscriptions, instance = tailrace.hub.subscriptions, tailrace.runs.instance
        lines = {name: waiting for name, (_, waiting) in self._gateway.loads.items()}
        return {
            **self._who,
            "at": round(time.time(), 3),
            "started": round(self._started, 3),
            "status": status_of(tailrace),
            "store": {"kind": store.kind, "failing_since": store.failing_since, "queue": tailrace.runs.unwritten},
            "others": sorted(instance.membership.liveness.others) if instance is not None else [],
            "streams": len(subscriptions),
            "runs": len(tailrace.runs.live),
            "slow": sum([each.full for each in subscriptions]),
            "pending": sum([each.pending for each in subscriptions if each.full]),
            "waiting": sum(lines.values()),
            "memory": resident_bytes(),
            **self._rates.look(),
            "open": standings(tailrace, lines, _MOST_STREAMS, self._zero),
        }
