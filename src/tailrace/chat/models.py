"""Names that callers may ask for, and what each stands for.

A `Catalog` answers one question: which model of which provider does this name mean? It knows no
provider's inside and asks none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tailrace.errors import SettingsError, UnknownModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Catalog", "Route", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """One model of one provider; `provider` is the configured name, `model` the provider's own."""

    provider: str
    model: str

    def __post_init__(self) -> None:
        if not self.provider or not self.model:
            raise SettingsError("a target needs a provider and a model")

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class Route:
    """A name that clients ask for, and the target behind it."""

    name: str
    target: Target


class Catalog:
    """All names of one gateway.

    `providers` maps each configured provider to the model that its bare name means, or None where a
    caller must name one. `default` is what no name at all means; left out, it is the only, or the
    first, provider whose bare name means something.

    Raises:
        SettingsError: a route leads to a provider that is not configured, or `default` to nothing.
    """

    def __init__(
        self, providers: Mapping[str, str | None], routes: Iterable[Route] = (), default: str | None = None
    ) -> None:
        self._providers = dict(providers)
        self._routes = {route.name: route for route in routes}
        for route in self._routes.values():
            if route.target.provider not in self._providers:
                raise SettingsError(f"model {route.name!r} leads to {route.target}, but no such provider is configured")
        self.default = default or next((name for name, model in self._providers.items() if model), None)
        if default is not None and self._find(default) is None:
            raise SettingsError(f"the default model {default!r} is not one of: {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Return every name as a reader would write it; `provider/<model>` stands for any model of a provider."""
        bare = (name for name, model in self._providers.items() if model and name not in self._routes)
        return (*self._routes, *bare, *(f"{name}/<model>" for name in self._providers))

    def resolve(self, name: str | None) -> Target:
        """Find what `name` means: a route, else a provider's bare name, else `provider/model`; None is the default.

        Raises:
            UnknownModel: it means nothing here; the error lists the names that do.
        """
        wanted = name or self.default
        if wanted is None:
            raise UnknownModel("", self.names)
        target = self._find(wanted)
        if target is None:
            raise UnknownModel(wanted, self.names)
        return target

    def _find(self, name: str) -> Target | None:
        if name in self._routes:
            return self._routes[name].target
        # Model names contain slashes of their own (`meta-llama/llama-4`); a provider's name does not.
        provider, slash, model = name.partition("/")
        if provider not in self._providers:
            return None
        if not slash:
            model = self._providers[provider] or ""
        return Target(provider, model) if model else None
