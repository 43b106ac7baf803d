"""Tailrace in a Starlette application: a page that follows a channel, and whoever wants to publishes to it.

Start it and open http://localhost:8000:

    tailrace run examples.starlette_app:app      (or: uvicorn examples.starlette_app:app)
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tailrace import Tailrace

tail = Tailrace()

PAGE = """<!doctype html>
<title>News</title>
<ul id="news"></ul>
<script>
  new EventSource("/news").onmessage = (event) => {
    news.insertAdjacentElement("afterbegin", Object.assign(document.createElement("li"), {textContent: event.data}))
  }
</script>
"""


async def page(request: Request) -> Response:
    """Show the news as they come; the browser reconnects by itself and misses nothing."""
    return HTMLResponse(PAGE)


async def follow(request: Request) -> Response:
    """Follow the news."""
    return tail.subscribe(request, "news")


async def publish(request: Request) -> Response:
    """Publish the body as it is."""
    return JSONResponse({"id": await tail.publish("news", (await request.body()).decode())})


app = Starlette(
    routes=[Route("/", page), Route("/news", follow), Route("/news", publish, methods=["POST"])],
    lifespan=tail.lifespan,
)
