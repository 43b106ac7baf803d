"""The demo's publisher, and where there is a demo."""

from __future__ import annotations

from typing import Any

import pytest

from tailrace import Tailrace
from tailrace.server.assembly import assemble
from tailrace.server.settings import Auth, Key, Provider, Server, Settings
from tailrace.web.demo import Demo, figures

pytestmark = pytest.mark.anyio

KEY = Key(name="web", hash="sha256:" + "0" * 64, scopes=("chat",))


async def test_it_publishes_only_what_somebody_reads_and_a_second_once() -> None:
    async with (tail := Tailrace()).lifespan():
        demo, again = Demo(tail), Demo(tail)
        await demo.publish(100)
        assert not (await tail.channels.history("demo.prices")).records
        reading = await tail.channels.read("demo.log")
        await demo.publish(120)
        await again.publish(120)  # as another instance would
        assert len((await tail.channels.history("demo.prices")).records) == 1
        tail.hub.close(reading.tail)
        await demo.publish(121)
        assert len((await tail.channels.history("demo.prices")).records) == 1


def test_a_second_is_the_same_for_every_instance_and_figures_stay_where_they_are_drawn() -> None:
    for second in range(0, 100_000, 37):
        assert figures.prices(second) == figures.prices(second)
        assert 0 <= figures.load(second)["load"] <= 1
        assert [*figures.line(second)] == [str(second % figures.LINES)]
    assert len(figures.prices(120)) == 5, "in each minute all prices are told"


@pytest.mark.parametrize(
    ("settings", "is_there"),
    [
        ({}, True),
        ({"server": Server(demo="off")}, False),
        ({"server": Server(host="0.0.0.0")}, False),
        ({"server": Server(host="0.0.0.0", demo="on")}, True),
        ({"auth": Auth(keys=(KEY,))}, False),
        (
            {
                "providers": {
                    "demo": Provider(kind="demo"),
                    "gpt": Provider(kind="openai", base_url="http://127.0.0.1:9/v1"),
                }
            },
            False,
        ),
    ],
)
async def test_by_itself_it_is_only_where_a_newcomer_looks_around(settings: dict[str, Any], *, is_there: bool) -> None:
    _, app = assemble(Settings(**{"providers": {"demo": Provider(kind="demo")}, **settings}))
    assert any(getattr(route, "path", "") == "/demo" for route in app.routes) == is_there
