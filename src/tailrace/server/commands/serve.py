"""`tailrace serve`: the ready server."""

from __future__ import annotations

import os
from pathlib import Path

import click

from tailrace.server.commands.terminal import note
from tailrace.server.settings import load

__all__ = ["command"]


@click.command("serve")
@click.option("--host", help="The address to listen on. [default: 127.0.0.1]")
@click.option("--port", help="The port to listen on; 0 lets the system choose. [default: 8000]")
@click.option("--store", metavar="URL", help="Where logs live: memory:// or sqlite:///path.db. [default: memory://]")
@click.option("--config", type=click.Path(path_type=Path), help="The settings. [default: tailrace.toml, where it is]")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes on the port.")
def command(host: str | None, port: str | None, store: str | None, config: Path | None, workers: int) -> int:
    """Serve chat and channels."""
    settings = load(config, os.environ, {"host": host, "port": port, "store": store})
    if workers > 1:
        told = f"{workers} workers need a store that they share; {settings.store.url} belongs to one process"
        raise click.BadParameter(told, param_hint="'--workers'")
    for each in settings.notes:
        note(each)
    from tailrace.server.lifecycle import serve  # noqa: PLC0415  # brings the whole server

    return serve(settings)
