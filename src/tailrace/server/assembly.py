"""Settings become parts: the facade, the gateway and the web application over them."""

from __future__ import annotations

from starlette.applications import Starlette

from tailrace.access.limits.limiter import Limiter
from tailrace.chat.breaker import BreakerOptions
from tailrace.chat.gateway import Gateway
from tailrace.chat.guard import Guard
from tailrace.chat.models import Arm, Policy, Route, Target
from tailrace.chat.places import Queue
from tailrace.chat.providers.base import ProviderOptions
from tailrace.chat.timeouts import Timeouts
from tailrace.facade import Options, Tailrace
from tailrace.log import Retention
from tailrace.log.quotas import Shared
from tailrace.server.credentials import authority
from tailrace.server.metrics import Figures, named_targets
from tailrace.server.settings import Model, Provider, Settings, is_local
from tailrace.server.sources import follow_sources
from tailrace.server.telemetry import open_telemetry
from tailrace.web import Peers, WebOptions, create_app
from tailrace.web.tracing import Tracer

__all__ = ["assemble"]


def assemble(settings: Settings, peers: Peers | None = None) -> tuple[Tailrace, Starlette]:
    """Build the ready server's application, for one process, or for one of several, which `peers` are.

    Raises `SettingsError` where settings contradict each other.
    """
    tailrace = Tailrace(settings.store.url, _options(settings))
    gateway = Gateway.build(
        [_provider(name, provider) for name, provider in settings.providers.items()],
        [_route(name, model) for name, model in settings.models.items()],
        settings.chat.default_model,
        {name: _guard(provider) for name, provider in settings.providers.items()},
    )
    app = create_app(
        tailrace,
        gateway,
        _web(settings, open_telemetry(settings.telemetry, settings.providers, named_targets(gateway))),
        peers,
        exporter=Figures(tailrace, gateway),
        authority=authority(settings.auth),
        limiter=_limiter(settings, tailrace),
    )
    if settings.sources:
        follow_sources(app, tailrace, settings.sources)
    return tailrace, app


def _limiter(settings: Settings, tailrace: Tailrace) -> Limiter | None:
    options = settings.limits.options()
    if not (options.caller.any or any(key.limits.limits().any for key in settings.auth.keys)):
        return None  # and nothing is added to any request
    store = tailrace.hub.store
    return Limiter(options, store.quotas if isinstance(store, Shared) else None, tailrace.counters)


def _options(settings: Settings) -> Options:
    server, chat, channels = settings.server, settings.chat, settings.channels
    return Options(
        heartbeat=server.heartbeat,
        write_timeout=server.write_timeout,
        grace=_grace(settings),
        keep_ended=chat.keep_ended,
        max_run_bytes=chat.max_run_bytes,
        max_ahead=chat.max_ahead,
        drain_timeout=server.drain_timeout,
        history=Retention(channels.history_events, channels.history_bytes, channels.history_age),
        prefix=settings.store.prefix,
        max_streams=settings.limits.max_streams,
        max_runs=settings.limits.max_runs,
    )


def _grace(settings: Settings) -> float | None:
    return None if settings.chat.grace == float("inf") else settings.chat.grace


def _web(settings: Settings, tracer: Tracer | None) -> WebOptions:
    server = settings.server
    return WebOptions(
        max_body=server.max_body,
        cors_origins=server.cors_origins,
        allowed_hosts=server.allowed_hosts,
        local_names=not settings.auth.required and is_local(server.host),
        max_grace=_grace(settings),
        open_after=settings.chat.open_after,
        tracer=tracer,
        log_prompts=settings.log.prompts,
        demo=_has_demo(settings),
    )


def _has_demo(settings: Settings) -> bool:
    """Whether there is the demo page. By itself only where a newcomer looks around: nobody else is to find it."""
    if settings.server.demo != "auto":
        return settings.server.demo == "on"
    only_demo = all(provider.kind == "demo" for provider in settings.providers.values())
    return only_demo and not settings.auth.active and is_local(settings.server.host)


def _provider(name: str, provider: Provider) -> ProviderOptions:
    limits = provider.timeouts
    return ProviderOptions(
        name=name,
        kind=provider.kind,
        base_url=provider.base_url,
        api_key=provider.api_key.reveal() if provider.api_key is not None else "",
        timeouts=Timeouts(limits.connect, limits.first_token, limits.idle, limits.total),
        max_streams=provider.max_streams,
    )


def _guard(provider: Provider) -> Guard:
    queue, breaker = provider.queue, provider.breaker
    return Guard(
        queue=Queue(length=queue.length, seconds=queue.seconds),
        breaker=BreakerOptions(
            failures=breaker.failures,
            rate=breaker.rate,
            window=breaker.window,
            least=breaker.least,
            cooldown=breaker.cooldown,
        ),
    )


def _route(name: str, model: Model) -> Route:
    return Route(
        name,
        tuple(Arm(Target(each.provider, each.model), each.weight) for each in model.targets),
        tuple(Target(each.provider, each.model) for each in model.fallback),
        Policy(retries=model.retries, on_disconnect=model.on_disconnect, after_content=model.after_content),
    )
