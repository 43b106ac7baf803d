"""Why an application did not start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette

from tailrace.errors import StoreError, TailraceError
from tailrace.server.lifespan import Lifespan

pytestmark = pytest.mark.anyio

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]

COMPLETE = {"type": "lifespan.startup.complete"}
FAILED = "lifespan.startup.failed"


async def said_by(app: Any) -> tuple[list[Message], TailraceError | None]:
    """What an application says of its start and end, and the failure that is kept."""
    config = uvicorn.Config(app)
    config.load()
    said: list[Message] = []
    asked = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Message:
        return next(asked)

    async def send(message: Message) -> None:
        said.append(message)

    before = config.loaded_app
    with Lifespan(config) as lifespan:
        loaded: Any = config.loaded_app
        try:
            await loaded({"type": "lifespan", "state": {}}, receive, send)
        except (TailraceError, ZeroDivisionError):
            said.append({"raised": True})
    assert config.loaded_app is before
    return said, lifespan.failure


def failing(error: Exception) -> Any:
    """An application's lifespan that raises it at its start."""

    class Failing:
        async def __aenter__(self) -> None:
            raise error

        async def __aexit__(self, *error: object) -> None:
            """Never come to."""

    return Starlette(lifespan=lambda app: Failing())


async def test_something_of_ours_is_kept_and_its_traceback_is_not_told() -> None:
    error = StoreError("away")
    said, failure = await said_by(failing(error))
    assert said == [{"type": FAILED, "message": ""}, {"raised": True}]
    assert failure is error


async def test_a_fault_of_the_application_keeps_its_traceback() -> None:
    said, failure = await said_by(failing(ZeroDivisionError("mine")))
    assert said[0]["type"] == FAILED
    assert "ZeroDivisionError: mine" in said[0]["message"]
    assert failure is None


async def test_who_starts_is_let_be() -> None:
    said, failure = await said_by(Starlette())
    assert (said, failure) == ([COMPLETE, {"type": "lifespan.shutdown.complete"}], None)


@pytest.mark.parametrize(("begins", "said"), [(False, [{"type": FAILED, "message": ""}]), (True, [COMPLETE])])
async def test_who_raises_without_a_word_failed_if_it_had_not_started(begins: bool, said: list[Message]) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        if begins:
            await send(COMPLETE)
        raise StoreError("away")

    told, failure = await said_by(app)
    assert told == [*said, {"raised": True}]
    assert (failure is None) == begins
