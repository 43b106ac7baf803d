"""A server that wants to know who is calling, and callers of each kind.

    with Guarded() as guarded:
        answer = guarded.ask("GET", "/events/news", guarded.key("reader"))
        token = guarded.token("alice", "chat subscribe:user-{sub}")

Its tokens are signed with a shared secret (HS256). What it streams comes from the demo provider.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Self

import jwt

from tailrace.access.keys import hash_of
from tests.support.server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.raw import Answer

__all__ = ["ISSUER", "KEYS", "SECRET", "STREAM", "Guarded", "bearer", "token"]

SECRET = "a secret of the issuer that is long enough to be one"
ISSUER = {"iss": "https://issuer.example", "aud": "tailrace"}
STREAM = {"accept": "text/event-stream"}

KEYS: dict[str, list[str]] = {
    "web": ["chat", "subscribe:*"],
    "other": ["chat", "subscribe:*"],
    "reader": ["subscribe:news-*"],
    "writer": ["publish:news-*", "subscribe:{sub}-inbox"],
    "scraper": ["metrics"],
    "boss": ["admin"],
}

_SETTINGS = """
[server]
cors_origins = ["https://app.example"]
heartbeat = {heartbeat}
trusted_proxies = ["127.0.0.1"]
[auth]
required = {required}
secret = "env:TICKETS"
keys = [
{keys}
]
jwt = {{ algorithm = "HS256", secret = "env:ISSUER", issuer = "https://issuer.example", audience = "tailrace" }}
"""


def bearer(credential: str) -> dict[str, str]:
    """The header that presents a key or a token."""
    return {"authorization": f"Bearer {credential}"}


def token(subject: str, scope: str = "chat subscribe:*", *, lasts: float = 600, **claims: Any) -> str:
    """A token of the issuer's; `claims` override what it says, None leaves a claim out."""
    said = {**ISSUER, "sub": subject, "scope": scope, "exp": int(time.time() + lasts), **claims}
    return jwt.encode({name: value for name, value in said.items() if value is not None}, SECRET, "HS256")


class Guarded:
    """The server and what is known of its callers; a context manager."""

    def __init__(self, *, required: bool = True, heartbeat: float = 15) -> None:
        self.keys = {name: f"tr_{name}-of-the-tests-{'x' * 32}" for name in KEYS}
        keys = ",\n".join(
            f'{{ name = "{name}", hash = "{hash_of(self.keys[name])}", scopes = {json.dumps(scopes)} }}'
            for name, scopes in KEYS.items()
        )
        settings = _SETTINGS.format(required=str(required).lower(), keys=keys, heartbeat=heartbeat)
        self.server = Server(settings, env={"TICKETS": "x" * 40, "ISSUER": SECRET})

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.__exit__(*error)

    def key(self, name: str) -> dict[str, str]:
        """The header of one of the keys."""
        return bearer(self.keys[name])

    def ask(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: Any = b"", **options: Any
    ) -> Answer:
        """Ask once and read the whole answer."""
        return self.server.ask(method, target, headers, body, **options)

    def ticket(self, who: Mapping[str, str], path: str) -> str:
        """A ticket for a path."""
        answer = self.ask("POST", "/auth/ticket", who, {"path": path})
        assert answer.status == 200, answer
        return str(answer.json()["ticket"])

    def run(self, who: Mapping[str, str], message: str = "Say hello") -> tuple[str, list[str]]:
        """Ask, and read the answer to its end; the run and the ids of its events."""
        with self.server.open("POST", "/api/chat", who, {"message": message, "max_tokens": 2}) as raw:
            events = raw.rest()
        return json.loads(events[0].data)["run"], [event.id for event in events]
