"""The way from a name to an answer: which target a caller's model means, and the provider that gives it.

Who asks, what it costs and what becomes of the answer are left to the floors above.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tailrace.chat.breaker import Breaker, State
from tailrace.chat.guard import Guard
from tailrace.chat.models import Catalog, Route, Target
from tailrace.chat.providers.anthropic import Anthropic
from tailrace.chat.providers.base import ProviderOptions
from tailrace.chat.providers.demo import Demo
from tailrace.chat.providers.openai import OpenAI
from tailrace.chat.providers.responses import OpenAIResponses
from tailrace.chat.providers.streamed import StreamedProvider
from tailrace.chat.router import Router
from tailrace.chat.sayable import sayable
from tailrace.chat.upstream import Connections
from tailrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tailrace.chat.ask import Ask
    from tailrace.chat.attempts import Attempt
    from tailrace.chat.dialects import Request
    from tailrace.chat.providers.base import Provider, Routed

__all__ = ["KINDS", "Gateway"]

log = logging.getLogger("tailrace")

KINDS: dict[str, Callable[[ProviderOptions, Connections], Provider]] = {
    Anthropic.kind: Anthropic,
    OpenAI.kind: OpenAI,
    OpenAIResponses.kind: OpenAIResponses,
    Demo.kind: lambda options, _: Demo(options.name),
}
"""The provider class of each kind that settings may name."""

_DEMO = ProviderOptions(name="demo", kind=Demo.kind)


class Gateway:
    """All providers of this process and the names that lead to them.

    `guards` are those of the providers that need others than the usual ones, by name.
    """

    def __init__(
        self,
        providers: Iterable[Provider],
        catalog: Catalog,
        connections: Iterable[Connections] = (),
        guards: Mapping[str, Guard] | None = None,
    ) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._connections = tuple(connections)
        self.catalog = catalog
        # Only for targets of routes: any other name leads to one target alone, which is asked whatever happened.
        targets = {target for route in catalog.routes for target in route.targets}
        self.breakers: Mapping[Target, Breaker] = {each: _breaker(each, guards or {}) for each in targets}
        """What is known of the health of each target that a route names."""
        self._router = Router(self._providers, self.breakers)

    @classmethod
    def build(
        cls,
        options: Iterable[ProviderOptions] = (),
        routes: Iterable[Route] = (),
        default_model: str | None = None,
        guards: Mapping[str, Guard] | None = None,
    ) -> Gateway:
        """Build the providers that `options` describe; with none, the demo alone. Opens no connection.

        Raises:
            SettingsError: an unknown kind, a name given twice, or a route or default that leads nowhere.
        """
        connections: list[Connections] = []
        providers: dict[str, Provider] = {}
        for option in tuple(options) or (_DEMO,):
            if option.name in providers:
                raise SettingsError(f"two providers are named {option.name!r}")
            connections.append(Connections(_guard(option.name, guards or {}).queue))
            providers[option.name] = _build(option, connections[-1])
        catalog = Catalog({name: it.default_model for name, it in providers.items()}, routes, default_model)
        return cls(providers.values(), catalog, connections, guards)

    @property
    def loads(self) -> Mapping[str, tuple[int, int]]:
        """How many answers of each provider are in progress, and how many wait for a place; of those that are asked."""
        return {name: each.load for name, each in self._providers.items() if isinstance(each, StreamedProvider)}

    def route(self, model: str | None) -> Route:
        """Find what `model` means; None is the default.

        Raises:
            UnknownModel: it means nothing here.
        """
        return self.catalog.route(model)

    def sayable(self, request: Request, route: Route) -> Route:
        """Return the part of `route` that a request in some dialect can be asked of.

        Raises:
            BadRequest: no target can be asked that; the error names the field.
        """
        return sayable(request, route, self._kind)

    def relays(self, request: Request, route: Route) -> bool:
        """Return whether a target of `route` may answer in the request's own dialect."""
        return any(self._kind(target) == request.kind for target in route.targets)

    def _kind(self, target: Target) -> str:
        return self._providers[target.provider].kind

    def answer(
        self, ask: Ask | None, route: Route, key: str | None, attempts: list[Attempt], *, relay: Request | None = None
    ) -> Routed:
        """Ask a route, as `Router.answer` says. Nothing is sent before the first item is asked for."""
        return self._router.answer(ask, route, key, attempts, relay)

    async def close(self) -> None:
        """Close the providers and every connection to them; answers in progress break."""
        for provider in self._providers.values():
            await provider.close()
        for connections in self._connections:
            await connections.close()


def _guard(provider: str, guards: Mapping[str, Guard]) -> Guard:
    return guards.get(provider) or Guard()


def _breaker(target: Target, guards: Mapping[str, Guard]) -> Breaker:
    def changed(state: State) -> None:
        log.warning("%s: its circuit breaker is %s", target, state.replace("_", " "))

    return Breaker(_guard(target.provider, guards).breaker, changed=changed)


def _build(options: ProviderOptions, connections: Connections) -> Provider:
    make = KINDS.get(options.kind)
    if make is None:
        kinds = ", ".join(sorted(KINDS))
        raise SettingsError(f"providers.{options.name}.kind is {options.kind!r}; expected one of: {kinds}")
    return make(options, connections)
