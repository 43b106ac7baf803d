"""A model that says what time it is: each token is the nanosecond (`time.monotonic_ns`) at which it was said.

    python stamping_model.py PORT TOKENS_PER_SECOND

Answers in the shape of OpenAI's chat.completions for as long as somebody reads; one token in each chunk.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time

import uvloop

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_FRAME = 'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"%d "}}]}\n\n'


class Model:
    """Answers each request with tokens at one rate, begun at a random moment of their period."""

    def __init__(self, rate: int) -> None:
        self._pause = 1 / rate

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's only request."""
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(_HEAD)
            await asyncio.sleep(random.random() * self._pause)
            due = time.monotonic()
            while not writer.transport.is_closing():
                frame = (_FRAME % time.monotonic_ns()).encode()
                writer.write(b"%x\r\n%s\r\n" % (len(frame), frame))
                due += self._pause
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # whoever asked is gone
        finally:
            writer.close()


async def main(port: int, rate: int) -> None:
    server = await asyncio.start_server(Model(rate).answer, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
