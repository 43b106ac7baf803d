"""`tailrace run`: somebody's own ASGI application, served as ours is."""

from __future__ import annotations

import os
import sys

import click

from tailrace.server.commands.terminal import note
from tailrace.server.settings import load

__all__ = ["command"]


@click.command("run")
@click.argument("app", metavar="MODULE:APP")
@click.option("--host", help="The address to listen on. [default: 127.0.0.1]")
@click.option("--port", help="The port to listen on; 0 lets the system choose. [default: 8000]")
def command(app: str, host: str | None, port: str | None) -> int:
    """Serve your own ASGI application, with the direct lane and drain."""
    module, colon, name = app.partition(":")
    if not (module and colon and name):
        raise click.BadParameter(f"expected MODULE:APP, such as main:app, got {app!r}", param_hint="'MODULE:APP'")
    settings = load(None, os.environ, {"host": host, "port": port})
    if settings.auth.active:
        note("[auth] is not looked at here: who may call MODULE:APP is its own matter")
    # The command lives in an environment's folder; the application, by custom, where it is started.
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  # sys.path holds strings
    from tailrace.server.lifecycle import run  # noqa: PLC0415  # brings the whole server

    return run(app, settings)
