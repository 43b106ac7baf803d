"""`tailrace chat`: ask a model and watch the answer come."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from tailrace.client import ChatOptions, Restart, Text, Thinking
from tailrace.errors import TailraceError
from tailrace.server.commands.narrator import Narrator
from tailrace.server.commands.target import connect, target_options
from tailrace.server.commands.terminal import ReaderGone, note, write

if TYPE_CHECKING:
    from pathlib import Path

    from tailrace.client import ChatEvent
    from tailrace.client.sync import Answer

__all__ = ["command"]


@click.command("chat")
@click.argument("message")
@click.option("--model", help="The model to ask. [default: the server's choice]")
@target_options
def command(message: str, model: str | None, url: str, key_file: Path | None) -> None:
    """Ask a model; MESSAGE may be - for standard input. Ctrl-C cancels the answer."""
    if message == "-":
        message = sys.stdin.read()
    options: ChatOptions = {"model": model} if model else {}
    narrator = Narrator("\n" if sys.stdout.isatty() else "")
    with connect(url, key_file) as client, client.chat(message, watch=narrator, **options) as answer:
        try:
            _show(answer)
        except (KeyboardInterrupt, ReaderGone):
            # Nobody is left who reads it, so that nobody should pay for the rest.
            _stop(answer)
            raise
        if answer.finish and answer.finish.finish_reason != "stop":
            note(f"the model ended by: {answer.finish.finish_reason}")


def _show(answer: Answer) -> None:
    last: ChatEvent | None = None
    try:
        for event in answer.events():
            if isinstance(event, Thinking):
                note(event.text, end="")
            elif isinstance(event, Restart):
                note(f"\nthe answer broke ({event.reason}) and begins anew with {event.provider}/{event.model}")
            elif isinstance(event, Text):
                if isinstance(last, Thinking):
                    note("")
                write(event.text, end="")
            last = event
    finally:
        if answer.text:
            write("")


def _stop(answer: Answer) -> None:
    try:
        answer.stop()
    except TailraceError as error:
        note(f"the run {answer.run} could not be cancelled: {error}")
