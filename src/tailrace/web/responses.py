"""Answers that are fetched later, as OpenAI's Responses API has it: looked at, resumed and cancelled by their id.

An id is the run's own (`resp_<run>`), or the upstream's where its stream is relayed: such a run is found by both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tailrace.access.caller import Caller
from tailrace.chat.dialects import DIALECTS, BadRequest, Head
from tailrace.chat.dialects.openai_responses.objects import begun, error_of
from tailrace.chat.dialects.rendering import unpack
from tailrace.errors import ErrorType, ProviderError, RunNotFound
from tailrace.facade import Answered, Tailrace
from tailrace.runs import Status, Summary, follow
from tailrace.runs.meta import RunMeta
from tailrace.runs.rights import ALL_RUNS, Reader
from tailrace.sse import Decoder
from tailrace.web.accepts import AS_IT_IS
from tailrace.web.aliases import Aliases
from tailrace.web.identity import caller_of, reader_of
from tailrace.web.options import WebOptions
from tailrace.web.origins import Origins
from tailrace.web.problems import Problem
from tailrace.web.telling import Telling

__all__ = ["Responses"]

_DIALECT = DIALECTS["openai-responses"]
_OWN = "resp_"


class Responses:
    """The endpoints of responses that were asked for before."""

    def __init__(self, tailrace: Tailrace, options: WebOptions, telling: Telling, aliases: Aliases) -> None:
        self._tailrace = tailrace
        self._runs = tailrace.runs
        self._origins = Origins(options.cors_origins)
        self._telling = telling
        self._aliases = aliases

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Where they are found."""
        return (
            Route("/v1/responses/{id}", self.show, methods=["GET"]),
            Route("/v1/responses/{id}/cancel", self.cancel, methods=["POST"]),
        )

    async def begun(self, run: str, caller: Caller) -> Response:
        """The answer to whoever comes back for a run later."""
        _, head = await self._look_at(run, caller)
        return JSONResponse(begun(head), headers={"tailrace-run": run})

    async def show(self, request: Request) -> Answered:
        """The response as it is now; or, with `stream=true`, its events past number `starting_after`, then live."""
        if request.query_params.get("stream") == "true" and request.method == "GET":  # HEAD has no stream
            return await self._tailrace.enter(request, self._events)
        name, caller = request.path_params["id"], caller_of(request)
        run, head = await self._find(name, caller)
        return await self._state(name, run, head, caller)

    async def _events(self, request: Request) -> Answered:
        caller = caller_of(request)
        run, _ = await self._find(request.path_params["id"], caller)
        skip = _skipped(request.query_params.get("starting_after"))
        return self._tailrace.respond(await self._telling.read(run, caller, skip))

    async def cancel(self, request: Request) -> Response:
        """Cancel a response; one that has ended stays as it ended."""
        self._origins.check(request.headers)
        name, caller = request.path_params["id"], caller_of(request)
        run, head = await self._find(name, caller)
        await self._runs.cancel(run, reader_of(caller, run))
        return await self._state(name, run, head, caller)

    async def check_previous(self, name: str, caller: Caller) -> None:
        """See that nobody goes on from a response that is another's. Raises `BadRequest`.

        The provider has one key for all callers, and so cannot tell. Nor can it be told here of one that is kept no
        more, or was never asked for here.
        """
        run = await self._aliases.find(name)
        if run is None or await self._is_there(run, ALL_RUNS) == await self._is_there(run, reader_of(caller, run)):
            return
        raise BadRequest("there is no such response", "previous_response_id", "previous_response_not_found")

    async def _is_there(self, run: str, reader: Reader) -> bool:
        try:
            attached = await self._runs.attach(run, reader)
        except RunNotFound:
            return False
        self._tailrace.hub.close(attached.tail)
        return True

    async def _find(self, name: str, caller: Caller) -> tuple[str, Head]:
        """The run that an id stands for, and what its answer says of itself. Raises `RunNotFound`."""
        try:
            return await self._look_at(name.removeprefix(_OWN), caller)
        except RunNotFound:
            run = await self._aliases.find(name)
            if run is None:
                raise
        return await self._look_at(run, caller)

    async def _look_at(self, run: str, caller: Caller) -> tuple[str, Head]:
        tail = (await self._runs.attach(run, reader_of(caller, run))).tail
        try:
            dialect, head = unpack(run, RunMeta.parse(tail.meta).view)
        except ValueError:  # it was not asked for in any dialect
            raise RunNotFound(run) from None
        finally:
            self._tailrace.hub.close(tail)
        if dialect is not _DIALECT:
            raise RunNotFound(run)
        return run, head

    async def _state(self, name: str, run: str, head: Head, caller: Caller) -> Response:
        summary = await self._runs.summary(run, reader_of(caller, run))
        response = begun(head)
        if summary.status is not Status.RUNNING:
            # One that failed before its first event was told by its error alone.
            response = (await self._told(run, caller) or response) | _failure(summary)
        return JSONResponse({**response, "id": name}, headers={**AS_IT_IS, "tailrace-run": run})

    async def _told(self, run: str, caller: Caller) -> dict[str, Any]:
        """The response as which a run that has ended was told; nothing where there was none."""
        reading = await self._telling.read(run, caller)
        tail, renderer = reading.tail, reading.renderer
        accumulator, decoder = _DIALECT.accumulator(), Decoder()
        try:
            async for records in follow(tail):
                for event in decoder.receive(b"".join(renderer.render(tail.epoch, records))):
                    accumulator.add(event)
        finally:
            reading.close()
        response = accumulator.whole()
        return response if "id" in response else {}


def _failure(summary: Summary) -> dict[str, Any]:
    """What tells a response that did not come to its own end; nothing of any other."""
    if summary.error is None:
        return {}
    if summary.status is Status.CANCELLED:
        return {"status": "cancelled", "error": None}
    told = summary.error
    error = ProviderError(ErrorType(told["type"]), told["message"], code=told.get("code"))
    return {"status": "failed", "error": error_of(error)}


def _skipped(after: str | None) -> int:
    """How many events a reader has who saw the one with number `after`; they are counted from 0."""
    if after is None:
        return 0
    number = after.lstrip("0") or "0"
    if not (number.isascii() and number.isdigit() and len(number) <= 9):
        raise Problem(400, "invalid_value", "starting_after: expected the sequence_number of an event.")
    return int(number) + 1
