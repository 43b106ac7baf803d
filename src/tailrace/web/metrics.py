"""The figures of a server for whoever collects them (`GET /metrics`), for all processes that serve the port.

What is counted, and what it is called, is left to `server`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tailrace.web.identity import require
from tailrace.web.peers import Answers, Peers

__all__ = ["Exporter", "Metrics"]

_QUESTION: Final = "metrics"


class Exporter(Protocol):
    """Where the figures come from."""

    def start(self) -> None:
        """Begin to look at what has to be looked at again and again, in the running event loop."""
        ...

    def stop(self) -> None:
        """Look no more."""
        ...

    def said(self) -> Mapping[str, Any]:
        """This process's figures, in what JSON can carry."""
        ...

    def fold(self, left: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """What several processes that are gone have said last, as if one had said it."""
        ...

    def render(
        self, said: Sequence[Mapping[str, Any]], left: Sequence[Mapping[str, Any]], silent: int, accept: str
    ) -> tuple[bytes, str]:
        """All figures as `accept` asks for them, and their content type.

        `said` is from the processes that answer, `left` from those that do not any more, `silent` how many should.
        """
        ...


class Metrics:
    """The endpoint. Where credentials are required it takes one with the scope `metrics`, or an admin's."""

    def __init__(self, exporter: Exporter, peers: Peers | None = None) -> None:
        self._exporter = exporter
        self._peers = peers
        if peers is not None:
            peers.answer(_QUESTION, exporter.said, exporter.fold)

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Where it is found."""
        return (Route("/metrics", self.metrics, methods=["GET"]),)

    async def metrics(self, request: Request) -> Response:
        """All figures, in the format that the request accepts."""
        require(request, "metrics")
        answers = await self._ask()
        accept = request.headers.get("accept", "")
        silent = answers.asked - len(answers.said)
        body, content_type = self._exporter.render(answers.said, answers.left, silent, accept)
        return Response(body, headers={"content-type": content_type, "cache-control": "no-store", "vary": "accept"})

    async def _ask(self) -> Answers:
        return Answers([self._exporter.said()], 1) if self._peers is None else await self._peers.ask(_QUESTION)
