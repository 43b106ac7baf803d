"""A live dashboard: a ticker, a gauge and a log on one connection. docs/tutorial.md builds it step by step.

Start it and open http://localhost:8000:

    tailrace run examples.dashboard_app:app      (or: uvicorn examples.dashboard_app:app)
"""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tailrace import Tailrace

tail = Tailrace()  # "sqlite:///dashboard.db" survives restarts, "redis://…" is shared by several instances

CHANNELS = ["prices", "load", "log"]
slots = itertools.cycle(range(9))

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Dashboard</title>
<p id="status">connecting</p>
<table id="prices"></table>
<p>Load <meter id="load" max="1"></meter></p>
<ol id="log"></ol>
<script>
  const states = {};

  const show = {
    prices(prices) {
      const rows = Object.entries(prices).map(([name, price]) => line("tr", line("th", name), line("td", price)));
      document.getElementById("prices").replaceChildren(...rows);
    },
    load({ share }) {
      document.getElementById("load").value = share;
    },
    log(lines) {
      document.getElementById("log").replaceChildren(...Object.values(lines).map((text) => line("li", text)));
    },
  };

  function line(name, ...children) {
    const element = document.createElement(name);
    element.append(...children);
    return element;
  }

  function merge(target, patch) {
    if (patch === null || typeof patch !== "object" || Array.isArray(patch)) return patch;
    const result = { ...target };
    for (const [name, value] of Object.entries(patch)) {
      if (value === null) delete result[name];
      else result[name] = merge(result[name], value);
    }
    return result;
  }

  function set(channel, state) {
    states[channel] = state;
    if (state !== null) show[channel](state);
  }

  function follow() {
    const source = new EventSource("/live?snapshot=1");
    const say = (text) => { document.getElementById("status").textContent = text; };
    const anew = () => { source.close(); follow(); };

    source.onopen = () => say("live");
    source.onerror = () => say("connection lost, coming back");
    source.addEventListener("snapshot", (event) => {
      for (const [channel, { state }] of Object.entries(JSON.parse(event.data).channels)) set(channel, state);
    });
    source.onmessage = (event) => {
      const { channel, data } = JSON.parse(event.data);
      set(channel, merge(states[channel], data));
    };
    source.addEventListener("gap", anew);
    source.addEventListener("resume", (event) => { if (!JSON.parse(event.data).recovered) anew(); });
  }

  follow();
</script>
"""


async def page(request: Request) -> Response:
    """Show the dashboard."""
    return HTMLResponse(PAGE)


async def live(request: Request) -> Response:
    """Follow all three channels; with `?snapshot=1` from their states on."""
    return tail.subscribe(request, CHANNELS)


async def say(request: Request) -> Response:
    """Write a line to the log, in the place of the one nine lines ago."""
    text = (await request.body()).decode()
    return JSONResponse({"id": await tail.publish("log", {str(next(slots)): text}, state="merge")})


async def measure() -> None:
    """Publish what there is to know, once a second."""
    prices = {"EUR": 1.07, "GBP": 1.27, "JPY": 0.0066}
    while True:
        name = random.choice([*prices])
        prices[name] = round(prices[name] * random.uniform(0.998, 1.002), 4)
        await tail.publish("prices", {name: prices[name]}, state="merge")
        await tail.publish("load", {"share": round(random.uniform(0.3, 0.7), 2)}, state="replace")
        await asyncio.sleep(1)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Measure for as long as the application runs."""
    async with tail.lifespan(app):
        measuring = asyncio.create_task(measure())
        yield
        measuring.cancel()


app = Starlette(
    routes=[Route("/", page), Route("/live", live), Route("/log", say, methods=["POST"])],
    lifespan=lifespan,
)
