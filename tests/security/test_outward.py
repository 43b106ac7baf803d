"""What this server asks of others: its providers, at the addresses of the settings, and nobody whom a caller names."""

from __future__ import annotations

import json
from typing import Any

import jwt

from tests.support.identities import SECRET, Guarded
from tests.support.scripted import Reply, ScriptedServer, Seen, stream
from tests.support.server import Server

_ANSWER = (
    b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
)


def _settings(url: str) -> str:
    return f'[chat]\ndefault_model = "up/x"\n[providers.up]\nkind = "openai"\nbase_url = "{url}"\n'


def _image(url: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": url}}]


def _asked(url: str) -> list[tuple[str, object]]:
    """The same picture, as each API names it."""
    source = {"type": "image", "source": {"type": "url", "url": url}}
    item = {"type": "input_image", "image_url": url}
    return [
        ("/api/chat", {"messages": [{"role": "user", "content": _image(url)}], "metadata": {"webhook": url}}),
        ("/v1/chat/completions", {"model": "up/x", "messages": [{"role": "user", "content": _image(url)}]}),
        ("/v1/responses", {"model": "up/x", "input": [{"role": "user", "content": [item]}]}),
        ("/v1/messages", {"model": "up/x", "max_tokens": 9, "messages": [{"role": "user", "content": [source]}]}),
    ]


def test_an_address_that_a_caller_names_goes_on_to_the_provider_and_is_not_asked() -> None:
    """Of a picture, in the body, and in every header that some server somewhere takes an address from."""
    replies = [stream(*_ANSWER)] * 4
    with ScriptedServer() as trap, ScriptedServer(*replies) as up, Server(_settings(up.url)) as server:
        inside = f"{trap.url}/latest/meta-data"
        named = dict.fromkeys(("referer", "x-forwarded-host", "x-original-url", "x-rewrite-url", "forwarded"), inside)
        for path, body in _asked(inside):
            answer = server.ask("POST", path, {**named, "tracestate": "a=b", "proxy": trap.url}, body)
            assert answer.status == 200, answer
        assert trap.seen == []
        assert [inside in json.dumps(json.loads(seen.body)["messages"]) for seen in up.seen] == [True] * 4
        assert not [value for seen in up.seen for value in seen.headers.values() if trap.url in value]


def test_a_provider_that_sends_us_elsewhere_is_not_followed() -> None:
    """The key would go along, and the address may be anybody's."""
    with ScriptedServer() as trap:

        def elsewhere(seen: Seen) -> Reply:
            return Reply(307, {"location": f"{trap.url}{seen.target}"})

        with ScriptedServer(*[elsewhere] * 9) as up, Server(_settings(up.url)) as server:
            answer = server.ask("POST", "/v1/chat/completions", {}, dict(_asked("x"))["/v1/chat/completions"])
        assert answer.status >= 400
        assert trap.seen == []


def test_keys_that_a_token_names_are_not_fetched(guarded: Guarded) -> None:
    with ScriptedServer() as trap:
        claims = {"sub": "alice", "exp": 4_000_000_000, "iss": "https://issuer.example", "aud": "tailrace"}
        for header in ({"jku": trap.url}, {"x5u": trap.url}, {"kid": trap.url}, {"jwk": {"kty": "oct", "k": "AA"}}):
            for secret in (SECRET, "an attacker's own secret, which is long enough"):
                credential = jwt.encode({**claims, "iss": trap.url}, secret, "HS256", header)
                answer = guarded.ask("GET", "/events/x", {"authorization": f"Bearer {credential}"})
                assert answer.status == 401
        assert trap.seen == []


def test_a_target_that_names_another_server_is_answered_here(server: Server) -> None:
    """This is no proxy."""
    with ScriptedServer() as trap:
        assert server.ask("GET", f"{trap.url}/health/live").json() == {"status": "live"}
        assert server.ask("GET", f"{trap.url}/nowhere").status == 404
        assert trap.seen == []
