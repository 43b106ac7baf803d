"""The server that a command talks to: the option that names it and the client that reaches it."""

from __future__ import annotations

from typing import Final

import click

from tailrace.client import Client, Patience

__all__ = ["connect", "url_option"]

# Somebody sits before it: the first attempts follow quickly, and six of them take eight seconds.
_PATIENCE: Final = Patience(first=0.25)

url_option = click.option(
    "--url",
    default="http://127.0.0.1:8000",
    envvar="TAILRACE_URL",
    show_default=True,
    show_envvar=True,
    help="The server.",
)


def connect(url: str) -> Client:
    """Return a client of the server at `url`. Raises BadParameter where it is no URL."""
    try:
        return Client(url, patience=_PATIENCE)
    except ValueError as problem:
        raise click.BadParameter(str(problem), param_hint="'--url'") from None
