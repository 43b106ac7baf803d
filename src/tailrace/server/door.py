"""How many connections a process takes, in all and from one address; told before a request is read.

A proxy that is trusted stands for many, so that its connections count in all only. One that has become a WebSocket
counts in all only, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address, ip_network

from tailrace.access.limits.addresses import network_of
from tailrace.observe import Meter

__all__ = ["Door", "Stay"]


class Stay:
    """One connection, as long as it counts. One that is not `welcome` is there to be told so."""

    __slots__ = ("_door", "_network", "welcome")

    def __init__(self, door: Door, network: str, *, welcome: bool) -> None:
        self._door: Door | None = door
        self._network = network
        self.welcome = welcome

    def end(self) -> None:
        """Count it no longer; a second time nothing happens."""
        door, self._door = self._door, None
        if door is not None:
            door.count_out(self._network, welcome=self.welcome)


class Door:
    """Lets at most `most` connections in, and at most `each` from one address (0: any number).

    `trusted` are the addresses and networks of proxies. `turned_away` are being told that they are not let in.
    """

    def __init__(self, most: int, each: int, trusted: Sequence[str], meter: Meter) -> None:
        self.most = most
        self.each = each
        self.turned_away = 0
        self._networks = [ip_network(network, strict=False) for network in trusted if network != "*"]
        self._trusts_all = "*" in trusted
        self._trusts = lru_cache(maxsize=1024)(self._is_trusted)
        self._from: dict[str, int] = {}
        self._meter = meter

    def enter(self, address: str, present: int) -> Stay:
        """Let one in who comes from `address`, unless there are too many; `present` are there, itself among them."""
        if self.most and present - self.turned_away > self.most:
            return self._turn_away("max_connections")
        if not (self.each and address) or self._trusts(address):
            return Stay(self, "", welcome=True)
        network = network_of(address)
        inside = self._from.get(network, 0)
        if inside >= self.each:
            return self._turn_away("connections_per_address")
        self._from[network] = inside + 1
        return Stay(self, network, welcome=True)

    def _turn_away(self, limit: str) -> Stay:
        self._meter.add("limits.hit", 1, (limit,))
        self.turned_away += 1
        return Stay(self, "", welcome=False)

    def count_out(self, network: str, *, welcome: bool) -> None:
        """Forget one."""
        if not welcome:
            self.turned_away -= 1
        elif network and self._from[network] > 1:
            self._from[network] -= 1
        elif network:
            del self._from[network]

    def _is_trusted(self, address: str) -> bool:
        if self._trusts_all:
            return True
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)
