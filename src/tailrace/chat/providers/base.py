"""What a provider is to the rest of Tailrace, and what one is configured with."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import msgspec
from yarl import URL

from tailrace.chat.timeouts import Timeouts
from tailrace.errors import SettingsError
from tailrace.runs.deltas import Delta, Part

if TYPE_CHECKING:
    from tailrace.chat.ask import Ask

__all__ = ["Answer", "Provider", "ProviderOptions", "Routed"]

Answer = AsyncGenerator[Sequence[Delta], None]
"""An answer as it arrives: each item holds the deltas that one network chunk brought, one at least.

A complete answer ends with `Usage`, where the provider reports it, then `Finish` as the last delta,
which is given only after the provider's own terminal was seen. Whatever else ends it is a
`ProviderError`, raised after all that was said before. Closing the generator, or cancelling the task
that waits in it, closes the upstream connection at once: who may stop early uses
`contextlib.aclosing`. An early `Usage` may hold the input tokens alone.
"""

Routed = AsyncGenerator[Sequence[Part], None]
"""An `Answer` that may hold the upstream's events, each with its deltas, where it is relayed; and a `Restart`, in an
item of its own, where a route goes on after a break."""


class Provider(Protocol):
    """An upstream that answers."""

    kind: ClassVar[str]
    """Which API it speaks, as settings name it."""
    default_model: ClassVar[str | None]
    """The model that the provider's bare name means; None where a caller must name one."""

    @property
    def name(self) -> str:
        """Return what the settings call this provider."""

    def answer(self, ask: Ask) -> Answer:
        """Begin to answer; nothing is sent before the first item is asked for."""

    async def close(self) -> None:
        """Give up what the provider itself holds."""


class ProviderOptions(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `[providers]`: a name, the API it speaks, and where and as whom.

    `base_url` is what that API's own SDK calls so; empty means the API's public address. The key is
    shown by no `repr`.

    Raises:
        SettingsError: the URL is not a plain http(s) address, or the key cannot be sent in a header.
    """

    name: str
    kind: str
    base_url: str = ""
    api_key: str = ""
    timeouts: Timeouts = msgspec.field(default_factory=Timeouts)
    max_streams: int = 16_384

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise SettingsError(f"provider name {self.name!r}: expected a name without '/'")
        if self.base_url:
            self._require_plain_url()
        if not (self.api_key.isascii() and self.api_key.isprintable() and " " not in self.api_key):
            raise SettingsError(f"providers.{self.name}.api_key holds characters that no key has (spaces, line ends)")
        if self.max_streams < 1:
            raise SettingsError(f"providers.{self.name}.max_streams is {self.max_streams}; expected 1 or more")

    def endpoint(self, path: str, public: str) -> URL:
        """Return the URL of `path` under `base_url`, or under `public` where none was given."""
        return URL((self.base_url or public).rstrip("/") + path)

    def _require_plain_url(self) -> None:
        try:
            url = URL(self.base_url)
        except ValueError as error:
            raise SettingsError(f"providers.{self.name}.base_url is not a URL") from error
        if url.scheme not in ("http", "https") or not url.host:
            raise SettingsError(f"providers.{self.name}.base_url: expected http://… or https://…")
        if url.user or url.password or url.query or url.fragment:
            raise SettingsError(f"providers.{self.name}.base_url: expected no credentials, query or fragment in it")

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"ProviderOptions({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return what may be shown; msgspec's own would give rich the key."""
        return [
            ("name", self.name),
            ("kind", self.kind),
            ("base_url", self.base_url),
            ("api_key", "set" if self.api_key else ""),
            ("timeouts", self.timeouts),
            ("max_streams", self.max_streams),
        ]
