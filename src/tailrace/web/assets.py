"""Our own pages: plain files from this package, under a policy that lets nothing else run."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tailrace.web.problems import Problem

__all__ = ["ROUTES"]

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def _load() -> dict[str, tuple[bytes, str]]:
    folder = files("tailrace.web").joinpath("pages")
    return {
        file.name: (file.read_bytes(), _TYPES[suffix])
        for file in folder.iterdir()
        if (suffix := file.name[file.name.rfind(".") :]) in _TYPES
    }


_FILES = _load()


async def index(request: Request) -> Response:
    """The chat page."""
    return _file("index.html")


async def static(request: Request) -> Response:
    """What the pages consist of."""
    return _file(request.path_params["name"])


def _file(name: str) -> Response:
    if name not in _FILES:
        raise Problem(404, "not_found", "There is no such file.")
    content, media_type = _FILES[name]
    return Response(content, media_type=media_type, headers=_HEADERS)


ROUTES: Sequence[BaseRoute] = (
    Route("/", index, methods=["GET"]),
    Route("/static/{name}", static, methods=["GET"]),
)
