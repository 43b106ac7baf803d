"""The sections of the settings as values: keys, defaults and what each may be.

A section is checked when it is made, by hand or by `load`; where a value came from is `load`'s
matter. Durations are seconds, sizes are bytes.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta

from tailrace.errors import SettingsError
from tailrace.log.address import StoreAddress
from tailrace.server.settings.access import Auth
from tailrace.server.settings.followed import Source
from tailrace.server.settings.limits import LimitSettings
from tailrace.server.settings.observing import Log, Telemetry
from tailrace.server.settings.secret import Secret
from tailrace.server.settings.section import Count, Duration, DurationOrZero, Kept, NonEmpty, Section
from tailrace.server.settings.urls import is_http

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

__all__ = [
    "KINDS",
    "Breaker",
    "Channels",
    "Chat",
    "Fallback",
    "Model",
    "Provider",
    "Queue",
    "Server",
    "Settings",
    "Store",
    "Target",
    "Timeouts",
    "check_default",
]

_PREFIX: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def check_default(name: str, providers: Mapping[str, Provider], models: Collection[str]) -> None:
    """Raise SettingsError unless `name` is a named model or a `provider/model`; the demo's bare name is one too."""
    provider, slash, model = name.partition("/")
    if name in models or (provider in providers and (model or (not slash and providers[provider].kind == "demo"))):
        return
    known = ", ".join([*models, *providers, *(f"{each}/<model>" for each in providers)])
    raise SettingsError(f"nothing answers to {name!r}; known: {known}")


def _check_each(key: str, values: Iterable[str], valid: Callable[[str], bool], expected: str) -> None:
    for value in values:
        if not valid(value):
            raise SettingsError(f"{key}: expected {expected}, got {value!r}")


def _check_provider_name(name: str) -> None:
    # It is the part before the slash where clients ask for `provider/model`.
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise SettingsError(f"[providers.{name}]: a name is made of letters, digits, '_', '.' and '-'")


def _is_origin(text: str) -> bool:
    return text == "*" or (is_http(text) and text.count("/") == 2)


def _is_network(text: str) -> bool:
    try:
        return text == "*" or bool(ip_network(text, strict=False))
    except ValueError:
        return False


def _is_host(text: str) -> bool:
    name = text.removeprefix("*.")
    return text == "*" or (bool(name) and not set(name) & set("*/: "))


class Kind(msgspec.Struct, frozen=True):
    """What a kind of provider has when nothing is said: where it lives and a model that it surely has."""

    base_url: str
    model: str


KINDS: Final[dict[str, Kind]] = {
    "anthropic": Kind("https://api.anthropic.com", "claude-opus-4-6"),
    "openai": Kind("https://api.openai.com/v1", "gpt-4o"),
    "openai-responses": Kind("https://api.openai.com/v1", "gpt-4o"),
    "demo": Kind("", "demo"),
}


class Server(Section, frozen=True, kw_only=True):
    """[server]: where to listen, and how long to wait for whom."""

    host: NonEmpty = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8000
    """0 lets the system choose one."""
    heartbeat: Duration = 15.0
    write_timeout: Duration = 30.0
    drain_delay: DurationOrZero = 0.0
    drain_timeout: DurationOrZero = 25.0
    max_body: Count = 1_048_576
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks whose `X-Forwarded-*` headers are believed; `*` believes everyone."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that are answered, `*.example.com` for those below one; none given: all."""
    demo: Literal["auto", "on", "off"] = "auto"
    """Whether there is a page `/demo`; `auto`: where a server shows nothing else, and to this machine alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_each("cors_origins", self.cors_origins, _is_origin, "https://name[:port] or *")
        _check_each("trusted_proxies", self.trusted_proxies, _is_network, "an address, a network or *")
        _check_each("allowed_hosts", self.allowed_hosts, _is_host, "a host name, *.name or *")


class Store(Section, frozen=True, kw_only=True):
    """[store]: where the logs live."""

    url: str = "memory://"
    """May have a password in it, so it is not in `repr`; `address.shown` is what a message may show."""
    prefix: str = "tailrace"
    """Stands before every key that a shared store holds for this installation."""

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            StoreAddress.parse(self.url)
        except SettingsError as problem:
            raise SettingsError(f"url: {problem}") from None
        if not _PREFIX.fullmatch(self.prefix):
            raise SettingsError(f"prefix: expected 1 to 64 of A-Z a-z 0-9 . _ : -; got {self.prefix!r}")

    @property
    def named(self) -> str:
        """Which store it is: two that are named alike hold the same logs. Without a password."""
        return f"{self.address.shown} (prefix {self.prefix})"

    @property
    def address(self) -> StoreAddress:
        """Where `url` says that they live."""
        return StoreAddress.parse(self.url)

    def __repr__(self) -> str:
        return f"Store(url={self.address.shown!r}, prefix={self.prefix!r})"


class Chat(Section, frozen=True, kw_only=True):
    """[chat]: runs, the answers of models."""

    default_model: NonEmpty = "demo/demo"
    """Answers where a request names no model."""
    grace: Annotated[float, Meta(ge=0)] = 10.0
    """How long a run goes on unwatched before it is cancelled upstream (`inf`: to its end); caps what requests ask."""
    open_after: Duration = 8.0
    """How long the dialects of others hold the HTTP status back, so that an early failure can still have its own."""
    max_run_bytes: Count = 8_388_608
    max_ahead: Annotated[int, Meta(ge=65_536)] = 4_194_304
    """How many bytes of a run may be ahead of the viewer who has read most, before its provider is slowed down."""
    keep_ended: Kept = 900.0


class Channels(Section, frozen=True, kw_only=True):
    """[channels]: how much of each channel is kept for those who come back."""

    history_events: Count = 1000
    history_bytes: Count = 1_048_576
    history_age: Annotated[float, Meta(gt=0, le=31 * 86_400)] = 3600.0


class Timeouts(Section, frozen=True, kw_only=True):
    """How long to wait for an upstream, at each stage of its answer."""

    connect: Duration = 5.0
    first_token: Duration = 60.0
    idle: Duration = 60.0
    total: Duration = 900.0


class Queue(Section, frozen=True, kw_only=True):
    """The line of those who wait while a provider has all the streams that it may."""

    length: Annotated[int, Meta(ge=0)] = 1000
    """0: nobody waits."""
    seconds: Duration = 5.0


class Breaker(Section, frozen=True, kw_only=True):
    """When a target that fails is not asked any more, and for how long."""

    failures: Count = 5
    """In a row; or else `rate` of the tries within `window` seconds, where those were `least`."""
    rate: Annotated[float, Meta(gt=0, le=1)] = 0.5
    window: Duration = 30.0
    least: Count = 20
    cooldown: Duration = 10.0


class Provider(Section, frozen=True, kw_only=True):
    """[providers.<name>]: an upstream that speaks some API."""

    kind: Literal["anthropic", "openai", "openai-responses", "demo"]
    base_url: str = ""
    """As the provider's own SDK means it; empty: the kind's own."""
    api_key: Secret | None = None
    timeouts: Timeouts = Timeouts()
    max_streams: Count = 16_384
    """How many answers may be in progress at once; the next ones wait in the queue."""
    queue: Queue = Queue()
    breaker: Breaker = Breaker()

    def __post_init__(self) -> None:
        super().__post_init__()
        usual = KINDS[self.kind].base_url
        if self.base_url and not is_http(self.base_url):
            raise SettingsError("base_url: expected https://host[/path], without user, query or fragment")
        if usual and self.api_key is None and self.base_url.rstrip("/") in {"", usual}:
            raise SettingsError(f"api_key: missing, and {usual} answers nobody without one")
        if not self.base_url:
            msgspec.structs.force_setattr(self, "base_url", usual)


class Target(Section, frozen=True, kw_only=True):
    """A model of a provider, and its share of the callers: `weight` of all the weights of its route."""

    provider: NonEmpty
    model: NonEmpty
    weight: Annotated[int, Meta(ge=1, le=1_000_000)] = 1


class Fallback(Section, frozen=True, kw_only=True):
    """A model of a provider that stands in where the others do not answer."""

    provider: NonEmpty
    model: NonEmpty


class Model(Section, frozen=True, kw_only=True):
    """[models.<name>]: a name that clients ask for, who answers to it, and what happens when things go wrong."""

    targets: tuple[Target, ...]
    fallback: tuple[Fallback, ...] = ()
    retries: Annotated[int, Meta(ge=0, le=10)] = 1
    """How many more tries each target gets before the next one is asked."""
    on_disconnect: Literal["cancel", "grace", "finish"] = "grace"
    """What becomes of an answer that nobody watches any more."""
    after_content: Literal["fail", "continue"] = "fail"
    """What becomes of an answer that breaks after it has begun."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.targets:
            raise SettingsError("targets: expected one or more, there is none")
        for key, stated in (("targets", self.targets), ("fallback", self.fallback)):
            names = [f"{each.provider}/{each.model}" for each in stated]
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise SettingsError(f"{key}: {twice} is named twice")


class Settings(Section, frozen=True, kw_only=True):
    """All of it. `notes` are sentences for the operator about what was chosen where nothing was set."""

    server: Server = Server()
    store: Store = Store()
    chat: Chat = Chat()
    channels: Channels = Channels()
    log: Log = Log()
    telemetry: Telemetry = Telemetry()
    limits: LimitSettings = LimitSettings()
    providers: dict[str, Provider] = msgspec.field(default_factory=lambda: {"demo": Provider(kind="demo")})
    models: dict[str, Model] = msgspec.field(default_factory=dict)
    sources: dict[str, Source] = msgspec.field(default_factory=dict)
    auth: Auth = Auth()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.providers:
            _check_provider_name(name)
        for name, model in self.models.items():
            self._check_model(name, model)
        try:
            check_default(self.chat.default_model, self.providers, self.models)
        except SettingsError as problem:
            raise SettingsError(f"[chat] default_model: {problem}") from None

    def _check_model(self, name: str, model: Model) -> None:
        if not name or "/" in name:
            raise SettingsError(f"models: {name!r} cannot be a name ('provider/model' always means that provider)")
        for key, stated in (("targets", model.targets), ("fallback", model.fallback)):
            if lost := next((each.provider for each in stated if each.provider not in self.providers), None):
                known = ", ".join(sorted(self.providers))
                raise SettingsError(f"[models.{name}] {key}: no provider {lost!r}; configured: {known}")
