"""The server that a command talks to: the options that name it and the key for it, and the client that reaches it.

A key is never an argument: whoever may list processes would read it there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import click

from tailrace.client import Client, Patience

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KEY_VARIABLE", "connect", "key_for", "target_options"]

KEY_VARIABLE: Final = "TAILRACE_API_KEY"

# Somebody sits before it: the first attempts follow quickly, and six of them take eight seconds.
_PATIENCE: Final = Patience(first=0.25)

_url = click.option(
    "--url",
    default="http://127.0.0.1:8000",
    envvar="TAILRACE_URL",
    show_default=True,
    show_envvar=True,
    help="The server.",
)
_key_file = click.option(
    "--key-file",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help=f"A file with the API key or token for it. [default: the variable {KEY_VARIABLE}]",
)


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `url` and `key_file`."""
    return _url(_key_file(command))


def key_for(key_file: Path | None) -> str | None:
    """Return the key or token for the server, if there is one. Raises BadParameter where its file cannot be read."""
    if key_file is None:
        return os.environ.get(KEY_VARIABLE, "").strip() or None
    try:
        key = key_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        told = problem.strerror if isinstance(problem, OSError) else "it is not text"
        raise click.BadParameter(f"{key_file} cannot be read: {told}", param_hint="'--key-file'") from None
    if not key:
        raise click.BadParameter(f"{key_file} is empty", param_hint="'--key-file'")
    return key


def connect(url: str, key_file: Path | None = None, *, asked: str = "") -> Client:
    """Return a client of the server at `url`. Raises BadParameter where it is no URL.

    Where what is `asked` for is a URL of another server, a key from the environment stays here: it was not meant for
    that one. A file that was named in the same command was.
    """
    stays = key_file is None and "://" in asked and _origin(asked) != _origin(url)
    key = None if stays else key_for(key_file)
    headers = {"authorization": f"Bearer {key}"} if key is not None else None
    try:
        return Client(url, headers=headers, patience=_PATIENCE)
    except ValueError as problem:
        raise click.BadParameter(str(problem), param_hint="'--url'") from None


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()
