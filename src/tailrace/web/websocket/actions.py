"""What a client may ask for over a WebSocket: each type of message, what it takes and what it is answered with.

The rights and the limits are those of the same request over HTTP.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from tailrace.access.limits.account import Asked
from tailrace.access.limits.limiter import Limiter
from tailrace.access.limits.place import Place
from tailrace.asgi import Scope
from tailrace.asgi.socket import Outlet
from tailrace.chat.passing import of_trace
from tailrace.facade import Tailrace
from tailrace.hub import Reading
from tailrace.runs.meta import RunMeta
from tailrace.web.bodies import encode
from tailrace.web.chat import Chat
from tailrace.web.idempotency import own_key
from tailrace.web.identity import caller_of, reader_of, require
from tailrace.web.limits import account_of
from tailrace.web.problems import Problem
from tailrace.web.websocket.messages import (
    Attach,
    Cancel,
    Message,
    Publish,
    Subscribe,
    Unsubscribe,
    chat_of,
    payload,
    reply,
)
from tailrace.web.websocket.streams import Streams
from tailrace.web.websocket.views import ChannelFrames, RunFrames

__all__ = ["ACTIONS", "Actions", "Parts"]


@dataclass(frozen=True, slots=True)
class Parts:
    """What all WebSockets of a server share."""

    tailrace: Tailrace
    chat: Chat
    limiter: Limiter | None


class Actions:
    """What one client can do, by the credential that its handshake came with (`scope`)."""

    __slots__ = ("_caller", "_outlet", "_parts", "_scope", "_streams", "leaving")

    def __init__(self, parts: Parts, scope: Scope, streams: Streams, outlet: Outlet) -> None:
        self._parts = parts
        self._scope = scope
        self._caller = caller_of(scope)
        self._streams = streams
        self._outlet = outlet
        self.leaving = False  # whether the connection ends with its last stream, since this process leaves

    async def ping(self, message: Message) -> None:
        """Answer with the payload."""
        await self.count(Asked.RESUME)
        self._outlet.say(reply("pong", message.id, content=bytes(message.payload)))

    async def subscribe(self, message: Message) -> None:
        """Follow a channel."""
        wanted = payload(message, Subscribe)
        channel, cursor = wanted.channel, wanted.last_event_id or None
        require(self._scope, "subscribe", channel)
        name = ("channel", channel)
        self._streams.check_new(name)

        async def read(place: Place | None) -> None:
            reading = await self._parts.tailrace.channels.read(
                channel, cursor, earliest=wanted.start is not None, snapshot=wanted.snapshot, only=wanted.only
            )
            self._reply("subscribed", message, {"channel": channel}, {})
            view = ChannelFrames(frozenset(wanted.only), channel=channel)
            self._streams.open(name, reading, view, place)

        await self._stream(Asked.REQUEST if cursor is None else Asked.RESUME, read)

    async def unsubscribe(self, message: Message) -> None:
        """Follow a channel, or watch a run, no longer."""
        await self.count(Asked.RESUME)
        wanted = payload(message, Unsubscribe)
        name = ("channel", wanted.channel) if wanted.channel is not None else ("run", wanted.run or "")
        self._streams.close(name)
        self._reply("unsubscribed", message, dict([name]), {})

    async def publish(self, message: Message) -> None:
        """Publish an event; answered when the store has it."""
        event = payload(message, Publish)
        require(self._scope, "publish", event.channel)
        await self.count(Asked.REQUEST)
        key = own_key(event.idempotency_key, self._caller)
        position = await self._parts.tailrace.channels.publish(event.channel, event.data, event.event, key, event.state)
        self._reply("published", message, {"channel": event.channel}, {"id": str(position)})

    async def chat(self, message: Message) -> None:
        """Ask; the answer is followed from its start. The reply names the run before anything of it comes."""
        require(self._scope, "chat")
        if self.leaving:  # else who keeps asking would be kept here, until an answer is cut
            said = "This server is leaving: connect again, and ask there."
            raise Problem(503, "draining", said, {"retry-after": "1"})
        (body, key), trace = chat_of(message), of_trace(self._scope["headers"])

        async def ask(place: Place | None) -> None:
            run = await self._parts.chat.start(body, key, trace, self._caller)
            reading = await self._parts.tailrace.runs.read(run, self._caller.owner)
            self._follow("started", message, run, reading, place)

        await self._stream(Asked.REQUEST, ask, starting=True)

    async def attach(self, message: Message) -> None:
        """Watch a run, from its start or a cursor."""
        wanted = payload(message, Attach)
        self._streams.check_new(("run", wanted.run))

        async def read(place: Place | None) -> None:
            runs, reader = self._parts.tailrace.runs, reader_of(self._caller, wanted.run)
            cursor = wanted.last_event_id or None
            reading = await runs.read(wanted.run, reader, cursor, snapshot=wanted.snapshot)
            self._follow("attached", message, wanted.run, reading, place)

        await self._stream(Asked.RESUME, read)

    async def cancel(self, message: Message) -> None:
        """Cancel a run; one that has ended stays as it is."""
        await self.count(Asked.RESUME)
        run = payload(message, Cancel).run
        summary = await self._parts.tailrace.runs.cancel(run, reader_of(self._caller, run))
        self._reply("cancelled", message, {"run": run}, {"status": summary.status})

    # What they have in common.

    def _reply(self, type_: str, to: Message, about: Mapping[str, str], more: Mapping[str, Any]) -> None:
        """Say whom a reply is about beside its payload, as events do, and in it, as the answer over HTTP does."""
        self._outlet.say(reply(type_, to.id, about, encode({**about, **more})))

    def _follow(self, type_: str, to: Message, run: str, reading: Reading | None, place: Place | None) -> None:
        """Follow a run, unless there is nothing left of it, or it is followed already: a key may name one that is."""
        name = ("run", run)
        if reading is None or name in self._streams:
            if reading is not None:
                reading.close()
            self._reply(type_, to, {"run": run}, {"complete": reading is None})
            return
        self._reply(type_, to, {"run": run}, {"complete": False})
        framed = RunMeta.parse(reading.tail.meta).framed
        self._streams.open(name, reading, RunFrames(framed=framed, run=run), place)

    async def count(self, asked: Asked) -> None:
        """Count something against the caller's limits. Raises `Refused`."""
        limiter = self._parts.limiter
        if limiter is not None:
            await limiter.admit(account_of(limiter, self._caller), asked)

    async def _stream(
        self, asked: Asked, begin: Callable[[Place | None], Awaitable[None]], *, starting: bool = False
    ) -> None:
        """Have `begin` open a stream that counts among its caller's, and this process's."""
        self._streams.check_room()
        limiter, place = self._parts.limiter, None
        if limiter is not None:
            account = account_of(limiter, self._caller)
            place = (await limiter.admit(account, asked, streaming=True, starting=starting)).place
        try:
            await self._parts.tailrace.enter(place, begin)
        finally:
            if place is not None:
                place.leave()


Action: TypeAlias = Callable[[Actions, Message], Awaitable[None]]

ACTIONS: Final[Mapping[str, Action]] = {
    "ping": Actions.ping,
    "subscribe": Actions.subscribe,
    "unsubscribe": Actions.unsubscribe,
    "publish": Actions.publish,
    "chat": Actions.chat,
    "attach": Actions.attach,
    "cancel": Actions.cancel,
}
