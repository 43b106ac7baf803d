"""What an operator may have done: an answer cancelled, a process drained. Here, or by the process whose it is."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable

from tailrace.access.caller import Caller
from tailrace.errors import RunNotFound, StoreUnavailable
from tailrace.facade import Tailrace
from tailrace.runs import Summary
from tailrace.runs.rights import ALL_RUNS, Reader
from tailrace.web.operations.exchange import Exchange, Order, Reports
from tailrace.web.operations.standing import SHOWN_OF_RUN

__all__ = ["Orders", "terminate"]

log = logging.getLogger("tailrace")


def terminate() -> None:
    """Leave as on SIGTERM, whoever serves this application: who supervises it starts another, as after any drain."""
    os.kill(os.getpid(), signal.SIGTERM)


class Orders:
    """The orders of one process, which goes by `name`; `leave` has it drain and end."""

    def __init__(self, tailrace: Tailrace, reporter: Reports, name: str, leave: Callable[[], None] = terminate) -> None:
        self._runs, self._hub = tailrace.runs, tailrace.hub
        self._name = name
        self._leave = leave
        self._obeying: set[asyncio.Task[Summary]] = set()
        self.exchange = Exchange(tailrace.hub, reporter, name, self._obey)

    async def cancel(self, run: str, caller: Caller) -> str | None:
        """Cancel a run, named by its id or by as much of it as is shown; how it ended.

        None where another process was asked to. Raises `RunNotFound`, also where it is another caller's;
        `StoreUnavailable` where nobody else can be asked.
        """
        log.warning("%s cancels run %.10s on the operations page", caller.name, run)
        known = self._find(run)
        reader: Reader = ALL_RUNS if caller.is_admin else caller.owner
        if known is None and len(run) == SHOWN_OF_RUN and self._hub.store.shared:
            await self._order(Order("cancel", run, caller.owner, caller.is_admin))
            return None
        return (await self._runs.cancel(known or run, reader)).status

    def _find(self, run: str) -> str | None:
        """The id of a run that is produced or read here; None where none, or more than one, begins so."""
        if run in self._runs.live:
            return run
        if len(run) < SHOWN_OF_RUN:
            return None
        read_here = {each.view.tail.log.removeprefix("run:") for each in self._hub.subscriptions if not each.lasting}
        found = {each for each in (*self._runs.live, *read_here) if each.startswith(run)}
        return found.pop() if len(found) == 1 else None

    async def drain(self, name: str, caller: Caller) -> bool:
        """Have a process leave as on SIGTERM; whether there is one of that name. Raises `StoreUnavailable`."""
        if name != self._name and name not in self.exchange.known:
            return False
        log.warning("%s drains %s on the operations page", caller.name, name)
        if name == self._name:
            asyncio.get_running_loop().call_soon(self._leave)  # once this is answered
        else:
            await self._order(Order("drain", name))
        return True

    async def _order(self, order: Order) -> None:
        if not await self.exchange.order(order):
            raise StoreUnavailable("the store did not take the order, so no other instance has heard it")

    def _obey(self, order: Order) -> None:
        """Do what another process was asked for. It said who asked; this one's name is never again another's."""
        if order.do == "drain" and order.target == self._name:
            log.warning("this process is drained: ordered on the operations page of another one")
            self._leave()
        elif order.do == "cancel" and (run := self._find(order.target)) in self._runs.live and run is not None:
            task = asyncio.create_task(self._runs.cancel(run, ALL_RUNS if order.admin else order.owner))
            self._obeying.add(task)
            task.add_done_callback(self._obeyed)

    def _obeyed(self, task: asyncio.Task[Summary]) -> None:
        self._obeying.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), RunNotFound | StoreUnavailable):
            log.warning("a run could not be cancelled for another instance: %s", error)
