"""`tailrace serve`: the ready server."""

from __future__ import annotations

import os
from pathlib import Path

import click

from tailrace.errors import SettingsError
from tailrace.server.logs import configure, say
from tailrace.server.seat import Seat
from tailrace.server.settings import Settings, load

__all__ = ["command"]


@click.command("serve")
@click.option("--host", help="The address to listen on. [default: 127.0.0.1]")
@click.option("--port", help="The port to listen on; 0 lets the system choose. [default: 8000]")
@click.option(
    "--store",
    metavar="URL",
    help="Where logs live: memory://, sqlite:///path.db or redis://host:6379/0. [default: memory://]",
)
@click.option("--config", type=click.Path(path_type=Path), help="The settings. [default: tailrace.toml, where it is]")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes on the port.")
@click.option("--joins", hidden=True, help="The store of the other workers, given to a worker by its supervisor.")
@click.option("--seat", hidden=True, type=Seat.parse, help="Given to a worker by its supervisor.")
def command(
    host: str | None,
    port: str | None,
    store: str | None,
    config: Path | None,
    *,
    workers: int,
    joins: str | None,
    seat: Seat | None,
) -> int:
    """Serve chat and channels."""
    settings = load(config, os.environ, {"host": host, "port": port, "store": store})
    if joins is not None:
        _check_same(settings, joins)
    elif workers > 1:
        _check_shared(settings, workers)
    configure(settings.log, seat.process if seat is not None else "")
    for each in settings.notes if seat is None else ():
        say(each)
    if seat is None and workers > 1:
        from tailrace.server.supervisor import supervise  # noqa: PLC0415  # most serve alone

        return supervise(settings, workers)
    from tailrace.server.lifecycle import serve  # noqa: PLC0415  # brings the whole server

    return serve(settings, seat)


def _check_same(settings: Settings, joins: str) -> None:
    named = settings.store.named
    if named != joins:
        raise SettingsError(f"[store] is {named} now, but the workers are on {joins}: changing it takes a restart")


def _check_shared(settings: Settings, workers: int) -> None:
    address = settings.store.address
    if not address.shared:
        told = f"{workers} workers need a store that they share; {address.shown} belongs to one process"
        raise click.BadParameter(f"{told} (--store redis://host:6379/0 is shared)", param_hint="'--workers'")
