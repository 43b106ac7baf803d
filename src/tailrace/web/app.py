"""The ready server as a Starlette application: what is found where, and what stands in front of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from tailrace.chat.gateway import Gateway
from tailrace.facade import Tailrace
from tailrace.web import assets
from tailrace.web.chat import Chat
from tailrace.web.compat import Compat
from tailrace.web.events import Events
from tailrace.web.health import Health, RequestCounter
from tailrace.web.hosts import Hosts
from tailrace.web.models import Models
from tailrace.web.options import WebOptions
from tailrace.web.peers import Peers
from tailrace.web.problems import HANDLERS

__all__ = ["create_app"]

_CORS_HEADERS = (
    *("Last-Event-ID", "Idempotency-Key", "Authorization", "X-API-Key", "Content-Type", "Cache-Control"),
    # What OpenAI's and Anthropic's SDKs send from a browser.
    *("Anthropic-Version", "Anthropic-Beta", "Anthropic-Dangerous-Direct-Browser-Access"),
    *("OpenAI-Organization", "OpenAI-Project", "OpenAI-Beta"),
    *(f"X-Stainless-{name}" for name in ("Arch", "Lang", "OS", "Package-Version", "Retry-Count")),
    *(f"X-Stainless-{name}" for name in ("Runtime", "Runtime-Version", "Timeout", "Helper-Method", "Helper")),
)
_EXPOSED_HEADERS = (
    "Tailrace-Run",
    "Tailrace-Heartbeat",
    "Retry-After",
    "Retry-After-Ms",
    "X-Should-Retry",
    "RateLimit",
)


def create_app(tailrace: Tailrace, gateway: Gateway, options: WebOptions, peers: Peers | None = None) -> Starlette:
    """Build the application. Its lifespan starts and closes `tailrace` and `gateway`; draining is its server's.

    `peers` are the processes that serve the same port; None: there is this one.
    """
    compat = Compat(tailrace, gateway, options)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await tailrace.start()
        try:
            yield
        finally:
            compat.close()
            await tailrace.close()
            await gateway.close()

    routes = [
        *assets.ROUTES,
        *Chat(tailrace, gateway, options).routes,
        *compat.routes,
        *Models(gateway).routes,
        *Events(tailrace, options).routes,
        *Health(tailrace, peers).routes,
    ]
    return Starlette(
        routes=routes,
        middleware=_middleware(tailrace, options),
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )


def _middleware(tailrace: Tailrace, options: WebOptions) -> list[Middleware]:
    stack = [Middleware(RequestCounter, tailrace)]
    if options.allowed_hosts:
        stack.append(Middleware(Hosts, options.allowed_hosts))
    if options.cors_origins:
        stack.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(options.cors_origins),
                allow_methods=["GET", "POST", "DELETE"],
                allow_headers=list(_CORS_HEADERS),
                expose_headers=list(_EXPOSED_HEADERS),
                max_age=600,
            )
        )
    return stack
