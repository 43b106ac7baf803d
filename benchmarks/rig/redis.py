"""A Redis under measurement, in memory alone: what its disk does is not ours to measure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from rig.server import RIG_CORE, Server, free_port, serving

__all__ = ["redis_server"]


@contextmanager
def redis_server(core: int = RIG_CORE) -> Iterator[Server]:
    """Run an empty redis-server until the block is left."""
    port = free_port()
    with TemporaryDirectory() as directory:
        listening = ["--port", str(port), "--bind", "127.0.0.1"]
        argv = ["redis-server", *listening, "--save", "", "--appendonly", "no", "--dir", directory]
        with serving(argv, port, core=core) as server:
            yield server
