"""`tailrace publish`: one event, or each line of standard input as one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from tailrace.errors import RequestRefused
from tailrace.server.commands.narrator import Narrator
from tailrace.server.commands.target import connect, url_option
from tailrace.server.commands.terminal import note, write

if TYPE_CHECKING:
    from tailrace.client import Client

__all__ = ["command"]


@click.command("publish")
@click.argument("channel")
@click.argument("data")
@click.option("--event", help="The type of the event.")
@url_option
def command(channel: str, data: str, event: str | None, url: str) -> int:
    """Publish DATA to CHANNEL and print the event's id; with - for DATA, each line of standard input.

    Lines are published in order and each once, however often a server that is away has to be asked.
    """
    with connect(url) as client:
        if data == "-":
            return _publish_lines(client, channel, event)
        write(client.publish(channel, data, event=event, watch=Narrator()))
        return 0


def _publish_lines(client: Client, channel: str, event: str | None) -> int:
    skipped = 0
    for number, line in enumerate(sys.stdin.buffer, start=1):
        text = line.decode(errors="replace").rstrip("\r\n")
        try:
            # A log goes on while its server is restarted: no attempt is the last.
            client.publish(channel, text, event=event, attempts=None, watch=Narrator())
        except RequestRefused as refused:
            if refused.status != 413:
                raise
            skipped += 1
            note(f"line {number} is larger than the server takes: skipped")
    return 1 if skipped else 0
