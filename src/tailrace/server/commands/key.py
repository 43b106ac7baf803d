"""`tailrace key`: make an API key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tailrace.access.keys import hash_of, new_key
from tailrace.errors import SettingsError
from tailrace.server.commands.terminal import note, write
from tailrace.server.settings import Key

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["command"]


@click.group("key")
def command() -> None:
    """API keys."""


@command.command("new")
@click.option("--name", default="web", show_default=True, help="Whose it is: runs belong to that name.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=("chat", "subscribe:*"),
    show_default=True,
    help="What it may do, once for each: chat, publish:<pattern>, subscribe:<pattern>, metrics, admin.",
)
def new(name: str, scopes: Sequence[str]) -> None:
    """Make a key. It is shown once, in the first line; the settings hold its hash, which follows."""
    key = new_key()
    try:
        entry = Key(name=name, hash=hash_of(key), scopes=tuple(scopes))
    except SettingsError as problem:
        raise click.BadParameter(str(problem)) from None
    write(key)
    note("Keep this key: it is not shown again. For tailrace.toml:")
    listed = ", ".join(f'"{scope}"' for scope in entry.scopes)
    write("\n[auth]\nrequired = true\nkeys = [")
    write(f'  {{ name = "{entry.name}", hash = "{entry.hash}", scopes = [{listed}] }},\n]')
