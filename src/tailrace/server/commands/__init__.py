"""The commands, a module for each. One is imported when it is asked for, so that each starts fast."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from tailrace import __version__

__all__ = ["tailrace"]

_COMMANDS: Final = ("serve", "run", "chat", "tail", "publish", "doctor", "key")


class _Commands(click.Group):
    """The commands in the order in which somebody meets them, each in the module of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name}").command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tailrace")
def tailrace() -> None:
    """Resumable Server-Sent Events for answers of language models and live channels."""
