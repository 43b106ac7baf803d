"""The Python client: subscribe, publish, ask a model; reconnecting and resuming by itself.

    client = Client("http://127.0.0.1:8000")
    for event in client.subscribe("prices"):
        print(event.data)
    for text in client.chat("Why is the sky blue?"):
        print(text, end="")

`Client` blocks, `AsyncClient` awaits; they are twins. Both need the extra `client`.
"""

from __future__ import annotations

from tailrace.errors import MissingExtra

try:
    from tailrace.client.aio import AsyncClient
    from tailrace.client.sync import Client
except ModuleNotFoundError as missing:
    if missing.name != "httpx2":
        raise
    raise MissingExtra("the Python client", "client") from None

from tailrace.client.events import ChatEvent, Finish, Gap, Message, Restart, Snapshot, Start, Text, Thinking, Tool
from tailrace.client.notices import Connected, Ended, Notice, Reconnecting, Resumed
from tailrace.client.patience import Patience
from tailrace.client.questions import ChatOptions
from tailrace.client.reading import answer_from, events_from

__all__ = [
    "AsyncClient",
    "ChatEvent",
    "ChatOptions",
    "Client",
    "Connected",
    "Ended",
    "Finish",
    "Gap",
    "Message",
    "Notice",
    "Patience",
    "Reconnecting",
    "Restart",
    "Resumed",
    "Snapshot",
    "Start",
    "Text",
    "Thinking",
    "Tool",
    "answer_from",
    "events_from",
]
