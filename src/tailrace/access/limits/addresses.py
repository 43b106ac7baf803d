"""Whom an address stands for: of IPv6 the network, since a household, or whoever rents a server, has 2**64 of them."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address, IPv6Network

__all__ = ["network_of"]


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """The address itself, or its /64 where it is one of IPv6; one of IPv4 that is written as IPv6 is that."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except AddressValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed) >> 64 << 64, 64)))
