"""One WebSocket from its handshake to its end: what is heard is done, one message after the other, and answered.

What is wrong with a message is an answer too; the connection ends with its client, its credential or its process.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any, Final

from tailrace.access.limits.account import Asked
from tailrace.access.limits.refused import Refused
from tailrace.web.identity import caller_of
from tailrace.web.limits import problem_of
from tailrace.web.problems import Problem, Told, told_of
from tailrace.web.websocket.actions import ACTIONS, Actions
from tailrace.web.websocket.messages import Message, id_in, parse, reply
from tailrace.web.websocket.streams import Name, Streams
from tailrace.web.websocket.views import said

if TYPE_CHECKING:
    from tailrace.asgi import Receive, Scope, Send
    from tailrace.asgi.socket import Outlet
    from tailrace.hub import Hub
    from tailrace.web.websocket.actions import Parts

__all__ = ["Session"]

log = logging.getLogger("tailrace")

_EXPIRED: Final = 4401
"""The close code of a connection whose credential has ended: a code of ours, since none of RFC 6455's says so."""
_SERVICE_RESTART: Final = 1012
_LOOK: Final = 60.0
"""Seconds between looks at the wall clock, which may be set."""


class Session:
    """What one client has asked for. It is one of the wheel's timers, for the end of its credential."""

    __slots__ = (
        "_actions",
        "_closing",
        "_expires",
        "_hub",
        "_outlet",
        "_over",
        "_send",
        "_streams",
        "slot",
    )

    def __init__(self, parts: Parts, scope: Scope, outlet: Outlet, send: Send) -> None:
        self.slot = -1
        self._streams = Streams(outlet, self._tell_broken, self._on_stream_over, caller_of(scope).name)
        self._expires = caller_of(scope).expires
        self._hub: Hub = parts.tailrace.hub
        self._outlet = outlet
        self._send = send
        self._actions = Actions(parts, scope, self._streams, outlet)
        self._over = False
        self._closing: asyncio.Task[None] | None = None

    async def run(self, receive: Receive) -> None:
        """Answer what comes until the client is gone."""
        if self._expires is not None:
            self._hub.wheel.schedule(self, self._left(self._expires))
        try:
            while (message := await receive())["type"] != "websocket.disconnect":
                if not self._over:  # else it was said before its sender heard the goodbye
                    await self._hear(message)
                    await self._outlet.heard()
                await asyncio.sleep(0)  # one reading may bring thousands of messages, and others have their turn
        finally:
            self._hub.wheel.cancel(self)
            self._over = True
            self._streams.close_all()
            if self._closing is not None:
                self._closing.cancel()

    async def _hear(self, received: Any) -> None:
        text = received.get("text")
        message = None
        try:
            message = parse(text)
            await self._act(message)
        except Exception as error:
            told = await self._judge(error)
            if told.status == 500:
                log.exception("a message over a WebSocket could not be answered")
            wait = told.headers.get("retry-after")
            more = {} if wait is None else {"retry_after": int(wait)}
            to = message.id if message is not None else id_in(text or "")
            self._outlet.say(reply("error", to, {"code": told.code, "message": told.detail, **more}))

    async def _judge(self, error: Exception) -> Told:
        """What the client is told of an error. Messages that are wrong are counted too, or they would be free."""
        if not isinstance(error, Refused):
            try:
                await self._actions.count(Asked.RESUME)
            except Refused as refused:
                error = refused
        return told_of(problem_of(error) if isinstance(error, Refused) else error)

    async def _act(self, message: Message) -> None:
        action = ACTIONS.get(message.type)
        if action is None:
            known = ", ".join(ACTIONS)
            raise Problem(422, "unknown_type", f"There is no message of that type; there are: {known}.")
        await action(self._actions, message)

    def _tell_broken(self, name: Name) -> None:
        kind, which = name
        text = f"The stream of the {kind} {which} broke; ask for it again with the last id that you have of it."
        self._outlet.say(reply("error", None, {"code": "stream_broken", "message": text, kind: which}))

    # The end.

    def leave(self) -> None:
        """End with the last stream, since this process leaves: streams are sent away, or come to their ends."""
        self._actions.leaving = True
        self._on_stream_over()

    def _on_stream_over(self) -> None:
        if self._actions.leaving and not len(self._streams):
            self._say_goodbye("draining", _SERVICE_RESTART)

    def on_timer(self, now: float) -> float | None:
        """Send the client away when its credential ends."""
        wait = self._left(self._expires or 0.0)
        if wait > 0:
            return wait
        self._say_goodbye("expired", _EXPIRED)
        return None

    def _left(self, ends: float) -> float:
        return min(max(0.0, ends - self._hub.clock.time()), _LOOK)

    def _say_goodbye(self, reason: str, code: int) -> None:
        if self._over:
            return
        self._over = True
        self._streams.close_all()
        retry = random.randint(500, 3000)  # noqa: S311  # spreads reconnects, keeps no secret
        self._outlet.say(said("", "reconnect", f'{{"reason":"{reason}"}}', retry=retry))
        self._closing = asyncio.get_running_loop().create_task(self._close(code, reason))

    async def _close(self, code: int, reason: str) -> None:
        """Close in order, or cut who takes nothing."""
        try:
            async with asyncio.timeout(self._hub.options.write_timeout):
                await self._outlet.flushed()
                self._outlet.shut()
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except TimeoutError:
            self._outlet.cut()
        except (OSError, RuntimeError):  # what a server raises where the connection is over already
            log.debug("a client left before it was told to")
