"""`tailrace tail`: follow a channel."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from tailrace.client import Gap, Message
from tailrace.server.commands.narrator import Narrator, missed
from tailrace.server.commands.target import connect, target_options
from tailrace.server.commands.terminal import note, write

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]


@click.command("tail")
@click.argument("target", metavar="URL_OR_CHANNEL")
@click.option("--json", "as_json", is_flag=True, help="Print whole events, as JSON lines.")
@click.option("--from-earliest", is_flag=True, help="Begin with all that is kept.")
@target_options
def command(target: str, as_json: bool, from_earliest: bool, url: str, key_file: Path | None) -> None:
    """Print the events of a channel as they come, one a line, over any number of reconnects. Ctrl-C ends it."""
    with (
        connect(url, key_file, asked=target) as client,
        client.subscribe(target, from_earliest=from_earliest, watch=Narrator()) as events,
        suppress(KeyboardInterrupt),  # there is no other end to it, so that this one is no failure
    ):
        for event in events:
            if as_json:
                write(_as_json(event))
            elif isinstance(event, Gap):
                note(missed(event.missed, event.reason))
            else:
                write(event.data.replace("\n", "\\n"))


def _as_json(event: Message) -> str:
    return json.dumps({"event": event.event, "data": event.data, "id": event.id}, ensure_ascii=False)
