"""A run whose producer is a model.

`Ask` is the canonical request, `Catalog` the names that callers may ask for, `Gateway` what answers
them, by whichever target of a route can. `providers/` reads an upstream's stream, one module for each
API that it may speak; `dialects/` reads a client's request and writes the stream that it expects. Who
watches an answer, and HTTP, are not known here.
"""

from __future__ import annotations

from tailrace.errors import MissingExtra

try:
    from tailrace.chat.ask import Ask, Message
    from tailrace.chat.gateway import Gateway
    from tailrace.chat.models import Catalog, Route, Target
    from tailrace.chat.providers.base import Answer, Provider, ProviderOptions
    from tailrace.chat.timeouts import Timeouts
except ModuleNotFoundError as error:
    if error.name not in ("aiohappyeyeballs", "httptools", "msgspec", "multidict", "yarl"):
        raise
    raise MissingExtra("tailrace.chat", "server") from error

__all__ = [
    "Answer",
    "Ask",
    "Catalog",
    "Gateway",
    "Message",
    "Provider",
    "ProviderOptions",
    "Route",
    "Target",
    "Timeouts",
]
