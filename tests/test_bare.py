"""The library part needs the standard library alone; every other part says which extra brings what it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tailrace

SOURCE = Path(tailrace.__file__).parents[1]

REFUSE = """
import sys

class Refuse:
    \"\"\"An interpreter in which nothing is installed.\"\"\"

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top != "tailrace":
            raise ModuleNotFoundError(f"No module named {name!r}", name=top)
        return None

sys.meta_path.insert(0, Refuse())
sys.path.insert(0, sys.argv[1])
"""


def bare(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program without site-packages, and where anything not of the standard library is refused."""
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", REFUSE + program, str(SOURCE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_a_tailrace_publishes_and_is_subscribed_to_with_the_standard_library_alone() -> None:
    done = bare("""
import asyncio
import tailrace
from tailrace.testing import Harness

async def main():
    tail = tailrace.Tailrace()

    async def answer():
        yield "Hel"
        yield "lo"

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            async with tail.lifespan():
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["path"] == "/chat":
            await tail.stream(None, answer)(scope, receive, send)
        else:
            await tail.subscribe(None, "prices")(scope, receive, send)

    async with Harness(app) as harness:
        async with harness.stream("GET", "/prices") as prices:
            assert (await prices.event()).event == "ready"
            await tail.publish("prices", {"eur": 1.07}, event="tick")
            tick = await prices.event()
            assert (tick.event, tick.data) == ("tick", '{"eur":1.07}'), tick
        async with harness.stream("POST", "/chat") as chat:
            assert [event.event for event in await chat.rest()] == ["start", "message", "message", "finish", "done"]

asyncio.run(main())
others = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names - {"tailrace", "__main__"}
print("done", sorted(others))
""")
    assert (done.stdout, done.stderr) == ("done []\n", "")


def test_the_sqlite_store_needs_the_standard_library_alone_and_is_loaded_only_where_it_is_asked_for(
    tmp_path: Path,
) -> None:
    done = bare(
        """
import asyncio
import tailrace

assert "sqlite3" not in sys.modules

async def main():
    tail = tailrace.Tailrace(f"sqlite:///{sys.argv[2]}/events.db")
    async with tail.lifespan():
        return await tail.publish("prices", {"eur": 1.07})

print(asyncio.run(main()).endswith("-1"))
others = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names - {"tailrace", "__main__"}
print(sorted(others))
""",
        str(tmp_path),
    )
    assert (done.stdout, done.stderr) == ("True\n[]\n", "")


@pytest.mark.parametrize(
    ("program", "extra"),
    [
        ("import tailrace.client", "client"),
        ("from tailrace.client import Client", "client"),
        ("import tailrace.web", "server"),
        ("import tailrace.chat.upstream", "server"),
        ("import tailrace; tailrace.Tailrace('redis://localhost')", "redis"),
    ],
)
def test_a_part_without_its_extra_says_which_to_install(program: str, extra: str) -> None:
    done = bare(f"""
from tailrace.errors import MissingExtra
try:
    {program}
except MissingExtra as missing:
    print(missing.extra, str(missing))
""")
    assert done.stdout.startswith(f"{extra} "), done.stderr
    assert f"pip install 'tailrace[{extra}]'" in done.stdout


def test_the_command_without_its_extra_says_which_to_install() -> None:
    done = bare("import runpy\nsys.argv[0] = 'tailrace'\nrunpy.run_module('tailrace', run_name='__main__')", "serve")
    assert done.returncode == 1
    assert "pip install 'tailrace[server]'" in done.stderr
    assert "Traceback" not in done.stderr
