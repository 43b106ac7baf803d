"""The least that a relay in Python can do: pass the upstream's bytes on, on aiohttp alone.

    python aiohttp_relay.py PORT UPSTREAM_PORT

It reads no event, keeps none, and cannot resume: what Tailrace does beyond this is its price.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import uvloop
from aiohttp import ClientSession, TCPConnector, web

UPSTREAM = web.AppKey("upstream", str)
SESSION = web.AppKey("session", ClientSession)


async def relay(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    body = await request.read()
    async with request.app[SESSION].post(request.app[UPSTREAM] + request.path, data=body) as upstream:
        await answer.prepare(request)
        async for piece in upstream.content.iter_any():
            await answer.write(piece)
    await answer.write_eof()
    return answer


async def session(app: web.Application) -> AsyncIterator[None]:
    async with ClientSession(connector=TCPConnector(limit=0)) as opened:
        app[SESSION] = opened
        yield


def main(port: int, upstream_port: int) -> None:
    app = web.Application()
    app[UPSTREAM] = f"http://127.0.0.1:{upstream_port}"
    app.cleanup_ctx.append(session)
    app.router.add_post("/{path:.*}", relay)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
