"""The real server as a gateway: three kinds of provider that are one scripted upstream, and one more that stands in.

    with Gatewayed() as gateway:
        gateway.up.default = Script(fault="reset", after=2)
        gateway.ask("/v1/chat/completions", {"model": "openai", ...})

The models `openai`, `openai-responses` and `anthropic` are the upstream, spoken to as that kind. `openai+spare` falls
back to an upstream of the same kind that always answers, `openai+others` to those of the other kinds; behind
`openai+off` nobody listens.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self

from tests.support.scripted import refused_url
from tests.support.sdks import Sdks
from tests.support.server import Server
from tests.support.upstream import Script, Seen, Upstream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.raw import Answer

__all__ = ["BODIES", "KINDS", "OWN_KIND", "PATHS", "Gatewayed"]

KINDS = ("openai", "openai-responses", "anthropic")

PATHS = {
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "anthropic": "/v1/messages",
}
"""Where each dialect is spoken."""

OWN_KIND = {"openai-chat": "openai", "openai-responses": "openai-responses", "anthropic": "anthropic"}
"""The kind of provider whose own dialect it is."""

BODIES: dict[str, dict[str, Any]] = {
    "openai-chat": {"messages": [{"role": "user", "content": "Hi"}]},
    "openai-responses": {"input": "Hi"},
    "anthropic": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9},
}
"""The least that can be asked in each dialect, beside the model."""

_SETTINGS = """
[server]
max_body = 65536
heartbeat = {heartbeat}
drain_timeout = {drain_timeout}
[chat]
open_after = {open_after}
grace = {grace}
"""
_PROVIDER = """
[providers.{name}]
kind = "{kind}"
base_url = "{url}{base}"
timeouts = {{ connect = 2, first_token = {patience}, idle = {patience}, total = 20 }}
breaker = {{ failures = 1000000, least = 1000000 }}
"""
_MODEL = """
[models."{name}"]
targets = [ {{ provider = "{provider}", model = "{provider}-model" }} ]
fallback = [ {fallback} ]
"""
_FALLBACK = '{{ provider = "{0}", model = "{0}-model" }}'


class Gatewayed:
    """A server, its upstream and the one that stands in; a context manager. Times are in seconds."""

    def __init__(
        self,
        *,
        open_after: float = 8.0,
        heartbeat: float = 15.0,
        patience: float = 5.0,
        drain_timeout: float = 5.0,
        grace: float = 0.2,
    ) -> None:
        self.up, self.spare = Upstream(), Upstream()
        times = {"heartbeat": heartbeat, "open_after": open_after, "drain_timeout": drain_timeout, "grace": grace}
        settings = _SETTINGS.format(**times)
        for kind in KINDS:
            base = "" if kind == "anthropic" else "/v1"
            for name, url in ((kind, self.up.url), (f"{kind}-spare", self.spare.url), (f"{kind}-off", refused_url())):
                settings += _PROVIDER.format(name=name, kind=kind, url=url, base=base, patience=patience)
            others = ", ".join(_FALLBACK.format(f"{other}-spare") for other in KINDS if other != kind)
            settings += _MODEL.format(name=kind, provider=kind, fallback="")
            settings += _MODEL.format(name=f"{kind}+off", provider=f"{kind}-off", fallback="")
            spare = _FALLBACK.format(f"{kind}-spare")
            settings += _MODEL.format(name=f"{kind}+spare", provider=kind, fallback=spare)
            settings += _MODEL.format(name=f"{kind}+off+spare", provider=f"{kind}-off", fallback=spare)
            settings += _MODEL.format(name=f"{kind}+others", provider=kind, fallback=others)
        self.server = Server(settings)
        self._asked = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.up)
            stack.enter_context(self.spare)
            stack.enter_context(self.server)
            self.sdks = stack.enter_context(Sdks(self.server.url))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def forget(self) -> None:
        """Begin a test: what was asked of the upstream before does not count."""
        for upstream in (self.up, self.spare):
            upstream.default = Script()
            upstream._scripts.clear()
            upstream._loop.call_soon_threadsafe(upstream._resumed.clear)
        self._asked = len(self.up.seen)

    @property
    def seen(self) -> list[Seen]:
        """What the upstream was asked in this test."""
        return self.up.seen[self._asked :]

    def ask(self, dialect: str, model: str, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
        """Ask in a dialect, by hand, and read the whole answer."""
        return self.server.ask("POST", PATHS[dialect], headers, {"model": model, **BODIES[dialect], **more})
