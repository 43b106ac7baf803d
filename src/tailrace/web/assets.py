"""Our own pages: plain files from this package, under a policy that lets nothing else run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tailrace.web.problems import Problem

__all__ = ["ROUTES", "Folder"]

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    # No text becomes markup or code, whatever a module of ours does: the browser itself refuses `innerHTML`.
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


class Folder:
    """The files of one folder of `pages`; by default those of `pages` itself, without its folders."""

    def __init__(self, name: str = "") -> None:
        folder = files("tailrace.web").joinpath("pages", *filter(None, [name]))
        self._files = {
            file.name: (file.read_bytes(), _TYPES[suffix])
            for file in folder.iterdir()
            if (suffix := file.name[file.name.rfind(".") :]) in _TYPES
        }

    def file(self, name: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """Answer with a file. Raises `Problem` 404."""
        if name not in self._files:
            raise Problem(404, "not_found", "There is no such file.")
        content, media_type = self._files[name]
        return Response(content, status, media_type=media_type, headers={**_HEADERS, **(headers or {})})


_PAGES = Folder()


async def index(request: Request) -> Response:
    """The chat page."""
    return _PAGES.file("index.html")


async def static(request: Request) -> Response:
    """What the pages consist of."""
    return _PAGES.file(request.path_params["name"])


ROUTES: Sequence[BaseRoute] = (
    Route("/", index, methods=["GET"]),
    Route("/static/{name}", static, methods=["GET"]),
)
