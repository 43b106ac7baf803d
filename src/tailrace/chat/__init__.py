"""A run whose producer is a model.

`Ask` is the canonical request, `Catalog` the names that callers may ask for, `Gateway` what answers
them; `providers/` holds one module for each API that an upstream may speak. What happens to the
deltas afterwards, who watches them and how they are written to a client is not known here.
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
    if error.name not in ("aiohttp", "msgspec"):
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
