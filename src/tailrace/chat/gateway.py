"""The way from a name to an answer: which target a caller's model means, and the provider that gives it.

Who asks, what it costs and what becomes of the answer are left to the floors above.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tailrace.chat.models import Catalog
from tailrace.chat.providers.anthropic import Anthropic
from tailrace.chat.providers.base import ProviderOptions
from tailrace.chat.providers.demo import Demo
from tailrace.chat.providers.openai import OpenAI
from tailrace.chat.upstream import Connections
from tailrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tailrace.chat.ask import Ask
    from tailrace.chat.models import Route, Target
    from tailrace.chat.providers.base import Answer, Provider

__all__ = ["KINDS", "Gateway"]

KINDS: dict[str, Callable[[ProviderOptions, Connections], Provider]] = {
    Anthropic.kind: Anthropic,
    OpenAI.kind: OpenAI,
    Demo.kind: lambda options, _: Demo(options.name),
}
"""The provider class of each kind that settings may name."""

_DEMO = ProviderOptions(name="demo", kind=Demo.kind)


class Gateway:
    """All providers of this process and the names that lead to them."""

    def __init__(self, providers: Iterable[Provider], catalog: Catalog, connections: Connections | None = None) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._connections = connections
        self.catalog = catalog

    @classmethod
    def build(
        cls, options: Iterable[ProviderOptions] = (), routes: Iterable[Route] = (), default_model: str | None = None
    ) -> Gateway:
        """Build the providers that `options` describe; with none, the demo alone. Opens no connection.

        Raises:
            SettingsError: an unknown kind, a name given twice, or a route or default that leads nowhere.
        """
        connections = Connections()
        providers: dict[str, Provider] = {}
        for option in tuple(options) or (_DEMO,):
            if option.name in providers:
                raise SettingsError(f"two providers are named {option.name!r}")
            providers[option.name] = _build(option, connections)
        catalog = Catalog({name: it.default_model for name, it in providers.items()}, routes, default_model)
        return cls(providers.values(), catalog, connections)

    def resolve(self, model: str | None) -> Target:
        """Find what `model` means; None is the default.

        Raises:
            UnknownModel: it means nothing here.
        """
        return self.catalog.resolve(model)

    def answer(self, ask: Ask, target: Target) -> Answer:
        """Ask `target`. Nothing is sent before the first item is asked for; see `Answer` for the rest."""
        return self._providers[target.provider].answer(msgspec.structs.replace(ask, model=target.model))

    async def close(self) -> None:
        """Close the providers and every connection to them; answers in progress break."""
        for provider in self._providers.values():
            await provider.close()
        if self._connections is not None:
            await self._connections.close()


def _build(options: ProviderOptions, connections: Connections) -> Provider:
    make = KINDS.get(options.kind)
    if make is None:
        kinds = ", ".join(sorted(KINDS))
        raise SettingsError(f"providers.{options.name}.kind is {options.kind!r}; expected one of: {kinds}")
    return make(options, connections)
