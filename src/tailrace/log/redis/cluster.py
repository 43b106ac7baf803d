"""Keys spread over the nodes of a cluster: each command goes to whoever has its slot, wherever that is by now."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from redis.exceptions import AskError, MovedError, RedisError

from tailrace.errors import StoreError, StoreUnavailable
from tailrace.log.redis.connection import Connection, Endpoint, Words
from tailrace.log.redis.greeting import Access
from tailrace.log.redis.node import REST, Node
from tailrace.log.redis.replies import NotNow, TryAgain
from tailrace.log.redis.shards import Command, Shard
from tailrace.log.redis.slots import NOBODY, Slots, redirected, slot_of

__all__ = ["Cluster"]

log = logging.getLogger("tailrace")

_ROUNDS: Final = 8
"""How often a command may be sent on: while a slot is on its way, one node points to another and back."""
_PAUSE: Final = 0.02
"""Seconds before a command is repeated whose keys are on their way, some here and some there."""

_Way = tuple[Endpoint, bool]
"""To whom commands go, and whether each is to be preceded by ASKING."""


class _Away(NotNow):
    """The command's own node cannot be reached."""


class Cluster:
    """The nodes that are known. A shard is named by where its master is."""

    sharded = True

    def __init__(self, access: Access, seeds: Sequence[Endpoint]) -> None:
        self._access = access
        self._slots = Slots()
        self._seeds = frozenset(seeds)
        self._nodes = {seed: Node(access, seed) for seed in seeds}
        self._leaving: set[asyncio.Task[None]] = set()
        self._reading: asyncio.Task[None] | None = None
        self._next = 0.0

    @property
    def changes(self) -> int:
        """How often the map became another."""
        return self._slots.changes

    async def open(self) -> None:
        """Read the map, and connect to every master."""
        await self._greet(self._nodes.values(), needed=1)
        await self._read()
        masters = [self._node(master) for master in self._slots.masters]
        await self._greet(masters, needed=len(masters))

    async def _greet(self, nodes: Collection[Node], needed: int) -> None:
        """Connect to nodes. Where fewer than are `needed` will do: raises what went wrong, the hopeless first."""
        outcomes = await asyncio.gather(*[node.connect() for node in nodes], return_exceptions=True)
        wrong = [outcome for outcome in outcomes if outcome is not None]
        if len(nodes) - len(wrong) < needed:
            raise min(wrong, key=lambda error: isinstance(error, StoreUnavailable))

    async def close(self) -> None:
        """Let go of every connection."""
        if self._reading is not None:
            self._reading.cancel()
        await asyncio.gather(*self._leaving, *[node.close() for node in self._nodes.values()])

    def shard_of(self, key: str) -> Shard:
        """Who has the slot of a key."""
        return self._slots[slot_of(key)]

    def endpoint_of(self, shard: Shard) -> Endpoint | None:
        """Where it is, is its name."""
        return shard

    async def dial(self, shard: Shard, on_push: Callable[[Any], None]) -> Connection:
        """Another connection to a node, which must be a master."""
        return await (await self._access.connect(shard, on_push)).as_master()

    # Asking.

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """Ask each command's node; what is pointed elsewhere is sent on.

        Commands with one hash tag may overtake each other while their slot is on its way, in no other case.
        """
        replies: list[Any] = [None] * len(commands)
        ways: dict[_Way, list[int]] = defaultdict(list)
        for index, command in enumerate(commands):
            ways[self.shard_of(command.key), False].append(index)
        for _ in range(_ROUNDS):
            ways = await self._round(ways, commands, replies)
            if not ways:
                break
        for index in chain.from_iterable(ways.values()):
            replies[index] = NotNow(f"the slot of {commands[index].key} is on its way: {replies[index]}")
        if all(isinstance(reply, _Away) for reply in replies):
            raise StoreUnavailable(str(replies[0]))
        return replies

    async def _round(
        self, ways: Mapping[_Way, list[int]], commands: Sequence[Command], replies: list[Any]
    ) -> dict[_Way, list[int]]:
        """Fill in what is answered; which commands must be sent on, and to whom."""
        asked = [self._ask(way, [commands[index].words for index in indices]) for way, indices in ways.items()]
        onward: dict[_Way, list[int]] = defaultdict(list)
        for (way, indices), told in zip(ways.items(), await asyncio.gather(*asked), strict=True):
            for index, reply in zip(indices, told, strict=True):
                replies[index] = reply
                if isinstance(reply, AskError | TryAgain):
                    onward[self._onward(way, reply)].append(index)
        if any(isinstance(replies[index], TryAgain) for index in chain.from_iterable(onward.values())):
            await asyncio.sleep(_PAUSE)
        return onward

    async def _ask(self, way: _Way, commands: list[Words]) -> list[Any]:
        endpoint, asking = way
        try:
            if not asking:
                return await self._node(endpoint).ask(commands)
            both = chain.from_iterable((("ASKING",), words) for words in commands)
            return (await self._node(endpoint).ask([*both]))[1::2]
        except StoreUnavailable as error:
            self._reread_soon()
            return [_Away(str(error))] * len(commands)

    def _onward(self, way: _Way, reply: AskError | TryAgain) -> _Way:
        if isinstance(reply, TryAgain):
            return way
        if isinstance(reply, MovedError):
            self.relocate(reply, way[0])
        return redirected(reply, way[0]), not isinstance(reply, MovedError)

    def _node(self, endpoint: Endpoint) -> Node:
        if endpoint == NOBODY:
            raise StoreUnavailable("a part of the cluster's slots is nobody's")
        node = self._nodes.get(endpoint)
        if node is None:
            node = self._nodes[endpoint] = Node(self._access, endpoint)
        return node

    # The map.

    def relocate(self, error: MovedError, asked: Endpoint) -> None:
        """Note where one slot is; others are likely to have moved too."""
        self._slots.move(error, asked)
        self._reread_soon()

    async def reread(self) -> None:
        """Read the map, with all who want it read; not more often than twice a second."""
        self._reread_soon()
        if self._reading is not None:
            await asyncio.wait((self._reading,))

    def _reread_soon(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._next and (self._reading is None or self._reading.done()):
            self._next = now + REST
            self._reading = asyncio.ensure_future(self._try_to_read())

    async def _try_to_read(self) -> None:
        try:
            await self._read()
        except StoreError as error:
            log.debug("no node of the cluster tells who has what: %s", error)

    async def _read(self) -> None:
        """Ask one node after the other, those that are away last. Raises `StoreUnavailable`, `StoreError`."""
        told = ""
        for node in sorted(self._nodes.values(), key=lambda node: node.away):
            try:
                (said,) = await node.ask([("CLUSTER", "SLOTS")])
            except StoreUnavailable as error:
                told = told or str(error)
                continue
            if isinstance(said, RedisError):
                raise StoreError(f"{node.endpoint}: {said}")
            self._slots.read(said, node.endpoint)
            self._forget_strangers()
            return
        raise StoreUnavailable(told)

    def _forget_strangers(self) -> None:
        """Leave the nodes that have no slots any more, but for those that the address names."""
        for endpoint in self._nodes.keys() - self._slots.masters - self._seeds:
            leaving = asyncio.ensure_future(self._nodes.pop(endpoint).close())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
