"""The models that a caller may ask for (`/v1/models`), as OpenAI's and Anthropic's SDKs list them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tailrace.chat.gateway import Gateway
from tailrace.web.identity import require
from tailrace.web.shapes import is_anthropic

__all__ = ["Models"]

_SINCE = "1970-01-01T00:00:00Z"
"""A name is the operator's, and has no date of release: Anthropic's API says the epoch then, as does ours."""


class Models:
    """The names of one gateway. Any model of a provider can be asked for as `provider/model`; those are not listed."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Where they are found."""
        return (
            Route("/v1/models", self.list, methods=["GET"]),
            Route("/v1/models/{model:path}", self.show, methods=["GET"]),
        )

    async def list(self, request: Request) -> Response:
        """All of them, on one page."""
        require(request, "chat")
        # What has a slash stands for names, and is none.
        names = [name for name in self._gateway.catalog.names if "/" not in name]
        if not is_anthropic(request):
            return JSONResponse({"object": "list", "data": [_openai(name) for name in names]})
        ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
        return JSONResponse({"data": [_anthropic(name) for name in names], "has_more": False, **ends})

    async def show(self, request: Request) -> Response:
        """One of them. Raises `UnknownModel`."""
        require(request, "chat")
        name = request.path_params["model"]
        if not name:
            raise HTTPException(404)
        self._gateway.route(name)
        return JSONResponse(_anthropic(name) if is_anthropic(request) else _openai(name))


def _openai(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "tailrace"}


def _anthropic(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": _SINCE}
