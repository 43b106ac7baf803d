"""Asking sentinels which server is the master now."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from redis.exceptions import RedisError

from tailrace.errors import StoreError, StoreUnavailable
from tailrace.log.redis.connection import Connection, Endpoint, Words
from tailrace.log.redis.greeting import Access
from tailrace.log.redis.link import Link

__all__ = ["Sentinels"]

_PATIENCE: Final = 0.5
"""Seconds for one sentinel: there are others."""


class _Found(NamedTuple):
    """What a sentinel says: how many failovers it knows of, and where the master is."""

    epoch: int
    master: Endpoint


class Sentinels:
    """Those who know where `service` is. The one that answered last is asked first."""

    moves = True

    def __init__(self, hosts: Sequence[Endpoint], service: str, access: Access) -> None:
        self._links = {host: Link(partial(self._dial, host)) for host in hosts}
        self._order = list(hosts)
        self._service = service
        # Most sentinels know no users, and are not shown the servers' password.
        self._ways = (access.to_sentinels(anonymous=True), access.to_sentinels(anonymous=False))
        self._epoch = 0

    async def find(self) -> Endpoint:
        """The master. Raises `StoreUnavailable` that says what each sentinel answered."""
        told, behind = [], []
        for host in tuple(self._order):
            try:
                found = await asyncio.wait_for(self._ask(host), _PATIENCE)
            except TimeoutError:
                told.append(f"{host} has not answered for {_PATIENCE:g} s")
            except StoreError as error:
                told.append(str(error))
            else:
                # Each failover counts one up. A sentinel that is cut off leads to the master of before.
                if found.epoch < self._epoch:
                    told.append(f"{host} is behind the others")
                    behind.append(found)
                    continue
                self._order.remove(host)
                self._order.insert(0, host)
                return self._take(found)
        if len(behind) == len(self._order):  # all of them were set up anew
            return self._take(max(behind))
        raise StoreUnavailable(f"no sentinel names the master of {self._service!r}: {'; '.join(told)}")

    def _take(self, found: _Found) -> Endpoint:
        self._epoch = found.epoch
        return found.master

    async def close(self) -> None:
        """Let go of every connection."""
        await asyncio.gather(*[link.close() for link in self._links.values()])

    async def _ask(self, host: Endpoint) -> _Found:
        words: list[Words] = [("SENTINEL", what, self._service) for what in ("MASTER", "GET-MASTER-ADDR-BY-NAME")]
        known, found = await self._links[host].ask(words)
        if found is None or isinstance(found, RedisError) or isinstance(known, RedisError):
            raise StoreUnavailable(f"{host} knows of no such service")
        return _Found(int(_facts(known)[b"config-epoch"]), Endpoint(found[0].decode(), int(found[1])))

    async def _dial(self, host: Endpoint) -> Connection:
        first, second = self._ways
        try:
            return (await first.connect(host)).connection
        except StoreUnavailable:
            raise
        except StoreError:
            if not second.password:
                raise
            return (await second.connect(host)).connection


def _facts(said: Sequence[Any]) -> dict[bytes, bytes]:
    return dict(zip(said[::2], said[1::2], strict=True))
