"""`tailrace publish`: one event, or each line of standard input as one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, cast

import click

from tailrace.errors import RequestRefused
from tailrace.server.commands.narrator import Narrator
from tailrace.server.commands.target import connect, target_options
from tailrace.server.commands.terminal import note, write
from tailrace.server.splitting import LONGEST, Lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import BufferedReader
    from pathlib import Path

    from tailrace.client import Client

__all__ = ["command"]

_CHUNK: Final = 65_536
"""Bytes that are read at once."""
_AT_ONCE: Final = 1000
"""Lines in one call: as many as a server takes."""


@click.command("publish")
@click.argument("channel")
@click.argument("data")
@click.option("--event", help="The type of the event.")
@target_options
def command(channel: str, data: str, event: str | None, url: str, key_file: Path | None) -> int:
    """Publish DATA to CHANNEL and print the event's id; with - for DATA, each line of standard input.

    Lines are published in order and each once, however often a server that is away has to be asked.
    """
    with connect(url, key_file, asked=channel) as client:
        if data == "-":
            return _publish_lines(client, channel, event)
        write(client.publish(channel, data, event=event, watch=Narrator()))
        return 0


class _Publisher:
    """Publishes lines in order. A log goes on while its server is restarted, so that no attempt is the last."""

    def __init__(self, client: Client, channel: str, event: str | None) -> None:
        self._client = client
        self._channel = channel
        self._event = event
        self._published = 0
        self.skipped = 0

    def publish(self, lines: Sequence[str]) -> None:
        """Publish lines, all that can be in one call; one that no call can take is skipped."""
        for at in range(0, len(lines), _AT_ONCE):
            self._publish(lines[at : at + _AT_ONCE])

    def _publish(self, lines: Sequence[str]) -> None:
        try:
            self._call(lines)
        except RequestRefused as refused:
            if refused.status != 413:
                raise
            if len(lines) > 1:
                half = len(lines) // 2
                self._publish(lines[:half])
                self._publish(lines[half:])
                return
            self.skipped += 1
            note(f"line {self._published + 1} is larger than the server takes: skipped")
        self._published += len(lines)

    def _call(self, lines: Sequence[str]) -> None:
        # A path or a URL is where an application takes events of one channel, and nothing is known of any other place.
        if len(lines) == 1 or "/" in self._channel:
            for line in lines:
                self._client.publish(self._channel, line, event=self._event, attempts=None, watch=Narrator())
            return
        kind = {} if self._event is None else {"event": self._event}
        events = [{"channel": self._channel, "data": line, **kind} for line in lines]
        self._client.publish_all(events, attempts=None, watch=Narrator())


def _publish_lines(client: Client, channel: str, event: str | None) -> int:
    publisher, lines = _Publisher(client, channel, event), Lines()
    # What is there is read, and no more: a line is published when it comes, and many at once when many come. Nothing is
    # read while the server is asked, so that the program at the other end of the pipe waits too.
    stdin = cast("BufferedReader", sys.stdin.buffer)
    while data := stdin.read1(_CHUNK):
        publisher.publish(lines.receive(data))
    publisher.publish(lines.flush())
    if lines.dropped:
        note(f"{lines.dropped} of the lines had more than {LONGEST} bytes: skipped")
    return 1 if publisher.skipped or lines.dropped else 0
