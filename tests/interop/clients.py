"""One published client on one URL: prints what it hands to its user as JSON lines, and when it gives up.

The libraries of others read one body each. Coming back is what their documentation tells users to write, and no more:
wait as long as the last `retry:` said, and send the last id.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import sseclient
from httpx_sse import connect_sse

from tailrace.client import Client


def say(what: object) -> None:
    print(json.dumps(what), flush=True)


class Over(Exception):
    """The server has no more."""


def checked(status: int) -> None:
    if status == 204:
        raise Over


def by_httpx2(url: str, headers: dict[str, str]) -> Iterator[Any]:
    with httpx2.stream("GET", url, headers=headers, timeout=30) as response:
        checked(response.status_code)
        yield from httpx2.EventSource(response)


def by_httpx_sse(url: str, headers: dict[str, str]) -> Iterator[Any]:
    with httpx.Client(timeout=30) as client, connect_sse(client, "GET", url, headers=headers) as source:
        checked(source.response.status_code)
        yield from source.iter_sse()


def by_sseclient(url: str, headers: dict[str, str]) -> Iterator[Any]:
    with httpx2.stream("GET", url, headers=headers, timeout=30) as response:
        checked(response.status_code)
        yield from sseclient.SSEClient(response.iter_bytes()).events()


READERS = {"httpx2": by_httpx2, "httpx-sse": by_httpx_sse, "sseclient-py": by_sseclient}


def again_and_again(name: str, url: str) -> None:
    cursor, retry = "", 1000.0
    while True:
        headers = {"accept": "text/event-stream", **({"last-event-id": cursor} if cursor else {})}
        try:
            for event in READERS[name](url, headers):
                say({"event": [event.event, event.data, event.id or ""]})
                cursor, retry = event.id or cursor, float(event.retry or retry)
        except Over:
            break
        except (httpx.HTTPError, httpx2.HTTPError) as error:
            print(name, error, file=sys.stderr)
        time.sleep(retry / 1000)
    say({"closed": True})


def tailrace(url: str) -> None:
    with Client(url.split("/events", 1)[0].split("/api", 1)[0]) as client:
        for event in client.subscribe(url):
            say({"event": [event.event, event.data, event.id]})
    say({"closed": True})


if __name__ == "__main__":
    name, url = sys.argv[1:]
    if name == "tailrace":
        tailrace(url)
    else:
        again_and_again(name, url)
