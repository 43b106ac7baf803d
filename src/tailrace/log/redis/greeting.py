"""How a connection begins: as whom, to which database, and whether the server is one that will do.

`HELLO` tells it all at once: the version, whether the server is one of a cluster or a sentinel, and whether it
is a master. The protocol stays RESP2: in RESP3 the messages of channels would come as another type, for nothing.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from redis.exceptions import AuthenticationError, RedisError

from tailrace.errors import StoreError, StoreUnavailable
from tailrace.log.redis.connection import PATIENCE, Connection, Endpoint, Words, connect
from tailrace.log.redis_address import RedisAddress

__all__ = ["Access"]

_MODES: Final = {"single": "standalone", "sentinel": "standalone", "cluster": "cluster"}
_ADVICE: Final = {
    "standalone": "is a server of its own: write redis:// before its address",
    "cluster": "is a node of a cluster: write redis+cluster:// before its address",
    "sentinel": "is a sentinel: write redis+sentinel:// before its address, and the service after it",
}
_OLDEST: Final = {"standalone": (6, 2), "cluster": (7, 0), "sentinel": (6, 2)}
"""6.2 has what the scripts use; 7.0 has channels that belong to a shard."""


@dataclass(frozen=True, slots=True)
class Access:
    """As whom, and how, the servers of an address are spoken to; and what they must be (`mode`, in HELLO's words)."""

    mode: str
    user: str = ""
    password: str = field(default="", repr=False)
    database: int = 0
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, address: RedisAddress) -> Self:
        """As an address says. Raises `StoreError` where its file of authorities cannot be used."""
        return cls(
            _MODES[address.topology],
            address.user,
            address.password,
            address.database,
            _context(address) if address.tls else None,
        )

    def to_sentinels(self, *, anonymous: bool) -> Access:
        """The same, for the sentinels of these servers."""
        asked = replace(self, mode="sentinel", database=0)
        return replace(asked, user="", password="") if anonymous else asked

    async def connect(self, endpoint: Endpoint, on_push: Callable[[Any], None] | None = None) -> Greeted:
        """Connect and introduce oneself, within `PATIENCE`.

        Raises `StoreUnavailable` where that may go better in a moment, `StoreError` where it will not.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                connection = await connect(endpoint, self.tls, on_push)
                try:
                    return Greeted(connection, await self._greet(connection))
                except BaseException:
                    await connection.close(f"{endpoint} will not do")
                    raise
        except TimeoutError:
            told = f"{endpoint} has not answered for {PATIENCE:g} s"
            raise StoreUnavailable(f"{told}; does it speak TLS?" if self.tls else told) from None

    async def _greet(self, connection: Connection) -> dict[str, Any]:
        hello: Words = ("HELLO", 2)
        if self.password or self.user:
            hello += ("AUTH", self.user or "default", self.password)
        # HELLO is answered even by a server that loads its data; PING is not.
        words: list[Words] = [(*hello, "SETNAME", "tailrace"), ("PING",)]
        if self.database:
            words.append(("SELECT", self.database))
        said, _, *selected = await connection.send(words)
        if isinstance(said, RedisError):
            raise StoreError(self._refused(connection.endpoint, said))
        if selected and isinstance(selected[0], RedisError):
            raise StoreError(f"{connection.endpoint}, database {self.database}: {selected[0]}")
        facts = {name.decode(): value for name, value in zip(said[::2], said[1::2], strict=True)}
        self._check(connection.endpoint, facts)
        return facts

    def _refused(self, endpoint: Endpoint, error: RedisError) -> str:
        if isinstance(error, AuthenticationError):
            if not self.password:  # what Redis says to that is a lesson on HELLO
                return f"{endpoint} wants a password: write redis://:password@host, or user:password@host"
            who = f"user {self.user!r} with this password" if self.user else "this password"
            return f"{endpoint} refuses {who} ({error})"
        if "unknown command" in str(error):
            return f"{endpoint} is older than 6.2: Redis from 6.2 on is needed, or Valkey"
        return f"{endpoint}: {error}"

    def _check(self, endpoint: Endpoint, facts: dict[str, Any]) -> None:
        mode, version = facts["mode"].decode(), facts["version"].decode()
        if mode != self.mode:
            raise StoreError(f"{endpoint} {_ADVICE.get(mode, f'runs as {mode!r}')}")
        oldest = _OLDEST[mode]
        if tuple(int(part) for part in version.split(".")[:2]) < oldest:
            raise StoreError(f"{endpoint} is of version {version}; from {oldest[0]}.{oldest[1]} on is needed")


@dataclass(frozen=True, slots=True)
class Greeted:
    """A connection, and what the server said of itself."""

    connection: Connection
    facts: dict[str, Any]

    async def as_master(self) -> Connection:
        """The connection, if the server is a master; else `StoreUnavailable`, since it may become one."""
        if self.facts["role"] != b"master":
            told = f"{self.connection.endpoint} is a replica, which takes no writes"
            await self.connection.close(told)
            raise StoreUnavailable(told)
        return self.connection


def _context(address: RedisAddress) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=address.ca_certs or None)
    except OSError as error:  # an SSLError is one too
        raise StoreError(f"ssl_ca_certs={address.ca_certs}: {error.strerror or error}") from None
    if not address.verified:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
