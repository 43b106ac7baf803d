"""The servers that are measured: how each is started. What is asked of them is the benchmarks' part."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rig.native import program
from rig.server import RIG_CORE, SERVER_CORE, Server, free_port, serving

__all__ = [
    "aiohttp_relay",
    "express_relay",
    "litellm",
    "send_loop",
    "starlette_events",
    "tailrace_events",
    "tailrace_runs",
    "tailrace_serve",
    "upstream",
]

_PEERS = Path(__file__).parent / "peers"
_TAILRACE = str(Path(sys.executable).parent / "tailrace")


def send_loop(rate: int, events: int) -> AbstractContextManager[Server]:
    """Start the bare loop in C; SIGUSR1 begins its events."""
    port = free_port()
    return serving([str(program("send_loop")), str(port), str(rate), str(events)], port)


def starlette_events(rate: int = 1, events: int = 0) -> AbstractContextManager[Server]:
    """Start sse-starlette with a queue for each subscriber; SIGUSR1 begins its events."""
    port = free_port()
    argv = [sys.executable, "-m", "uvicorn", "starlette_sse:app", "--port", str(port), "--no-access-log"]
    argv += ["--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--timeout-graceful-shutdown", "1"]
    return serving(argv, port, environment=_ticker(rate, events))


def tailrace_events(rate: int = 1, events: int = 0) -> AbstractContextManager[Server]:
    """Start an application on Tailrace's facade and direct lane; SIGUSR1 begins its events."""
    port = free_port()
    argv = [_TAILRACE, "run", "tailrace_events:app", "--port", str(port)]
    return serving(argv, port, environment=_ticker(rate, events))


def tailrace_runs(rate: int) -> AbstractContextManager[Server]:
    """Start an application whose answers never end; each says `rate` tokens a second."""
    port = free_port()
    return serving([_TAILRACE, "run", "tailrace_runs:app", "--port", str(port)], port, environment=_ticker(rate, 0))


def _ticker(rate: int, events: int) -> dict[str, str]:
    return {"BENCH_RATE": str(rate), "BENCH_EVENTS": str(events)}


def upstream(pace: tuple[int, int] | None = None) -> AbstractContextManager[Server]:
    """Start the model provider, on the rig's core. It thinks for no time, or at the `pace` of `c/upstream.c`, in ms."""
    port = free_port()
    words = [str(program("upstream")), str(port), *map(str, pace or ())]
    return serving(words, port, core=RIG_CORE)


def aiohttp_relay(upstream_port: int) -> AbstractContextManager[Server]:
    """Start the relay that only passes bytes on."""
    port = free_port()
    return serving([sys.executable, str(_PEERS / "aiohttp_relay.py"), str(port), str(upstream_port)], port)


def express_relay(modules: Path, upstream_port: int) -> AbstractContextManager[Server]:
    """Start the relay that passes bytes on, on Node, with the Express of the folder `modules`."""
    port = free_port()
    argv = ["node", str(_PEERS / "express_relay.mjs"), str(modules), str(port), str(upstream_port)]
    return serving(argv, port, environment={"NODE_ENV": "production"})


@contextmanager
def litellm(commands: Path, upstream_port: int) -> Iterator[Server]:
    """Start LiteLLM's proxy, one process, from the environment whose `commands` are given."""
    port = free_port()
    environment = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it asks the network for one
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        # It starts without a key on loopback only so; the others check none either.
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    with TemporaryDirectory() as directory:
        config = Path(directory) / "litellm.yaml"
        config.write_text(_LITELLM.format(port=upstream_port))
        argv = [str(commands / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        with serving(argv, port, environment=environment, patience=_LITELLM_START) as server:
            yield server


_LITELLM_START = 90.0
_LITELLM = """
model_list:
  - model_name: bench
    litellm_params:
      model: openai/bench
      api_base: http://127.0.0.1:{port}/v1
      api_key: none
"""


@contextmanager
def tailrace_serve(
    settings: str = "", environment: Mapping[str, str] | None = None, *, core: int = SERVER_CORE
) -> Iterator[Server]:
    """Start the ready server with the settings of a `tailrace.toml`, in a directory of its own."""
    port = free_port()
    with TemporaryDirectory() as directory:
        config = Path(directory) / "tailrace.toml"
        config.write_text(settings)
        argv = [_TAILRACE, "serve", "--port", str(port), "--config", str(config)]
        with serving(argv, port, core=core, environment=environment) as server:
            yield server
