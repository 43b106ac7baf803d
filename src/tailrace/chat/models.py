"""Names that callers may ask for, and what each stands for.

A `Catalog` answers one question: which route does this name mean? It knows no provider's inside and
asks none; in which order a route's targets are tried, and when another is, is left to `choice` and
`course`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

from tailrace.errors import SettingsError, UnknownModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["AfterContent", "Arm", "Catalog", "OnDisconnect", "Policy", "Route", "Target"]

OnDisconnect = Literal["cancel", "grace", "finish"]
"""What becomes of an answer that nobody watches: cancelled at once, after the usual grace, or finished."""

AfterContent = Literal["fail", "continue"]
"""What becomes of an answer that breaks after its first content: it fails, or begins anew on the next target."""


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
class Arm:
    """A target and its share of the callers, `weight` of all the weights of its route."""

    target: Target
    weight: int = 1

    def __post_init__(self) -> None:
        if self.weight < 1:
            raise SettingsError(f"the weight of {self.target} is {self.weight}; expected 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a route does when things go wrong.

    `retries` is how many more tries the same target gets before the next one is asked.

    Raises:
        SettingsError: a negative number, or a word that is none of the choices.
    """

    retries: int = 1
    on_disconnect: OnDisconnect = "grace"
    after_content: AfterContent = "fail"

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise SettingsError(f"retries is {self.retries}; expected 0 or more")
        for name, choices in (("on_disconnect", get_args(OnDisconnect)), ("after_content", get_args(AfterContent))):
            if getattr(self, name) not in choices:
                raise SettingsError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(choices)}")

    def grace(self, usual: float | None) -> float | None:
        """Return the seconds that an unwatched answer goes on, where `usual` is what others get; None: to its end."""
        return {"cancel": 0.0, "grace": usual, "finish": None}[self.on_disconnect]


@dataclass(frozen=True, slots=True)
class Route:
    """A name that clients ask for, the targets that share its callers, and those that stand in for them.

    Raises:
        SettingsError: there is no target, or one that is named twice.
    """

    name: str
    arms: tuple[Arm, ...]
    fallback: tuple[Target, ...] = ()
    policy: Policy = Policy()
    targets: tuple[Target, ...] = field(init=False, repr=False, compare=False)
    """Every target once, as they are written."""

    def __post_init__(self) -> None:
        if not self.arms:
            raise SettingsError(f"model {self.name!r} has no target")
        for stated in ([arm.target for arm in self.arms], self.fallback):
            if twice := next((target for target in stated if stated.count(target) > 1), None):
                raise SettingsError(f"model {self.name!r} names {twice} twice")
        targets = tuple(dict.fromkeys([*(arm.target for arm in self.arms), *self.fallback]))
        object.__setattr__(self, "targets", targets)


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
            if lost := next((each for each in route.targets if each.provider not in self._providers), None):
                raise SettingsError(f"model {route.name!r} leads to {lost}, but no such provider is configured")
        self.default = default or next((name for name, model in self._providers.items() if model), None)
        if default is not None and self._find(default) is None:
            raise SettingsError(f"the default model {default!r} is not one of: {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Return every name as a reader would write it; `provider/<model>` stands for any model of a provider."""
        bare = (name for name, model in self._providers.items() if model and name not in self._routes)
        return (*self._routes, *bare, *(f"{name}/<model>" for name in self._providers))

    @property
    def routes(self) -> tuple[Route, ...]:
        """Return the routes that were configured."""
        return tuple(self._routes.values())

    def route(self, name: str | None) -> Route:
        """Find what `name` means: a route, else a provider's bare name, else `provider/model`; None is the default.

        Raises:
            UnknownModel: it means nothing here; the error lists the names that do.
        """
        wanted = name or self.default
        if wanted is None:
            raise UnknownModel("", self.names)
        route = self._find(wanted)
        if route is None:
            raise UnknownModel(wanted, self.names)
        return route

    def _find(self, name: str) -> Route | None:
        if name in self._routes:
            return self._routes[name]
        # Model names contain slashes of their own (`meta-llama/llama-4`); a provider's name does not.
        provider, slash, model = name.partition("/")
        if provider not in self._providers:
            return None
        if not slash:
            model = self._providers[provider] or ""
        return _direct(name, provider, model) if model else None


@lru_cache(maxsize=1024)
def _direct(name: str, provider: str, model: str) -> Route:
    """Return the route of a name that leads straight to one target."""
    return Route(name, (Arm(Target(provider, model)),))
