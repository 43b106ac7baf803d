"""The ready server as a Starlette application: what is found where, and what stands in front of it."""

from __future__ import annotations

import secrets

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from tailrace.access.authority import Authority
from tailrace.access.keys import ApiKeys
from tailrace.access.limits.limiter import Limiter
from tailrace.chat.gateway import Gateway
from tailrace.facade import Tailrace
from tailrace.web import assets
from tailrace.web.ai_sdk import AiSdk
from tailrace.web.auth import Auth
from tailrace.web.chat import Chat
from tailrace.web.compat import Compat
from tailrace.web.dashboard import Dashboard
from tailrace.web.demo import Demo
from tailrace.web.events import Events
from tailrace.web.health import Health, RequestCounter
from tailrace.web.hosts import Hosts, Names, is_local_name
from tailrace.web.identity import Identity
from tailrace.web.lifespan import Lifespan
from tailrace.web.limits import Limited
from tailrace.web.metrics import Exporter, Metrics
from tailrace.web.models import Models
from tailrace.web.openapi import OpenApi
from tailrace.web.options import WebOptions
from tailrace.web.peers import Peers
from tailrace.web.probe import Probe
from tailrace.web.problems import HANDLERS
from tailrace.web.several import Several
from tailrace.web.viewers import Viewing
from tailrace.web.websocket import WebSockets

__all__ = ["create_app"]

_CORS_HEADERS = (
    *("Last-Event-ID", "Idempotency-Key", "Authorization", "X-API-Key", "Content-Type", "Cache-Control"),
    # What OpenAI's and Anthropic's SDKs send from a browser.
    *("Anthropic-Version", "Anthropic-Beta", "Anthropic-Dangerous-Direct-Browser-Access"),
    *("OpenAI-Organization", "OpenAI-Project", "OpenAI-Beta"),
    # OpenAI's sets it in browsers too; Firefox and Safari ask whether it may, Chromium drops it (openai-node#1694).
    "User-Agent",
    *("Traceparent", "Tracestate"),
    *(f"X-Stainless-{name}" for name in ("Arch", "Lang", "OS", "Package-Version", "Retry-Count")),
    *(f"X-Stainless-{name}" for name in ("Runtime", "Runtime-Version", "Timeout", "Helper-Method", "Helper")),
)
_EXPOSED_HEADERS = (
    "Tailrace-Run",
    "Tailrace-Heartbeat",
    "Retry-After",
    "Retry-After-Ms",
    "X-Should-Retry",
    "WWW-Authenticate",
    "RateLimit",
    "RateLimit-Policy",
)


def create_app(
    tailrace: Tailrace,
    gateway: Gateway,
    options: WebOptions,
    peers: Peers | None = None,
    *,
    exporter: Exporter | None = None,
    authority: Authority | None = None,
    limiter: Limiter | None = None,
) -> Starlette:
    """Build the application. Its lifespan starts and closes `tailrace` and `gateway`; draining is its server's.

    `peers` are the processes that serve the same port; None: there is this one. `exporter` has the figures that
    `/metrics` shows; None: there is no such page. `authority` knows whom to believe; None: nobody has to say who
    they are. `limiter` says who is over a limit; None: nothing is limited.
    """
    authority = authority or Authority(secrets.token_bytes(32), ApiKeys(()))
    chat = Chat(tailrace, gateway, options, limiter)
    compat = Compat(tailrace, gateway, options, limiter)
    dashboard = Dashboard(tailrace, gateway)
    demo = Demo(tailrace) if options.demo else None

    lifespan = Lifespan(
        tailrace=tailrace,
        gateway=gateway,
        compat=compat,
        dashboard=dashboard,
        demo=demo,
        exporter=exporter,
        authority=authority,
        limiter=limiter,
        options=options,
    )
    routes = [
        # Starlette looks through them in this order: first what is asked for most.
        *chat.routes,
        *compat.routes,
        *AiSdk(tailrace, compat, options).routes,
        *Models(gateway).routes,
        *Events(tailrace, options).routes,
        *Several(tailrace, options).routes,
        *Viewing(tailrace).routes,
        *Health(tailrace, peers, limiter).routes,
        *Probe(tailrace, options).routes,
        *Auth(tailrace, authority, options).routes,
        *WebSockets(tailrace, chat, options, limiter).routes,
        *(Metrics(exporter, peers).routes if exporter is not None else ()),
        *OpenApi().routes,
        *dashboard.routes,
        *(demo.routes if demo is not None else ()),
        *assets.ROUTES,
    ]
    app = Starlette(
        routes=routes,
        middleware=_middleware(tailrace, options, authority, limiter),
        exception_handlers=HANDLERS,
        lifespan=lifespan.around,
    )
    app.router.redirect_slashes = False  # else what is nearly a path, `/events//`, would lead to `/events`
    return app


def _middleware(
    tailrace: Tailrace, options: WebOptions, authority: Authority, limiter: Limiter | None
) -> list[Middleware]:
    stack = [Middleware(RequestCounter, tailrace)]
    if options.allowed_hosts:
        stack.append(Middleware(Hosts, Names(options.allowed_hosts)))
    elif options.local_names:
        stack.append(Middleware(Hosts, is_local_name))
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
    if authority.active:  # inside of CORS: a page has to be able to read why it is refused
        stack.append(Middleware(Identity, authority, tailrace))
    if limiter is not None:
        stack.append(Middleware(Limited, limiter, tailrace))
    return stack
