"""Secrets that are planted wherever the settings and callers have them, and all that comes out looked through."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tailrace.access.keys import hash_of
from tailrace.server.settings import load
from tests.support.identities import STREAM, bearer, token
from tests.support.scripted import Reply, ScriptedServer, Seen, refused_url, stream
from tests.support.server import ROOT, Server

_CANARY = "canary-in-a-coal-mine"
_PROVIDER = f"sk-{_CANARY}-provider"
_SIGNING = f"{_CANARY}-signing-{'x' * 32}"
_ISSUER = f"{_CANARY}-issuer-{'x' * 32}"
_KEY = f"tr_{_CANARY}-key"
_PROMPT = "canary-what-somebody-asked"

_SETTINGS = f"""
[chat]
default_model = "up/x"
[providers.up]
kind = "openai"
base_url = "{{url}}"
api_key = "env:PROVIDER"
[providers.away]
kind = "anthropic"
base_url = "{{away}}"
api_key = "file:key"
[auth]
required = true
secret = "env:SIGNING"
keys = [ {{{{ name = "web", hash = "{hash_of(_KEY)}", scopes = ["admin"] }}}} ]
jwt = {{{{ algorithm = "HS256", secret = "env:ISSUER", issuer = "https://issuer.example", audience = "tailrace" }}}}
"""
_ENVIRONMENT = {"PROVIDER": _PROVIDER, "SIGNING": _SIGNING, "ISSUER": _ISSUER}


def _talkative(seen: Seen) -> Reply:
    """A provider that repeats the key it was given: in an error's every field, or in a stream."""
    key = seen.headers["authorization"]
    error = {"message": f"wrong: {key}", "type": key, "code": key.rpartition(" ")[2], "param": key}
    if b"in the stream" in seen.body:
        return stream(b"data: " + json.dumps({"error": error}).encode() + b"\n\n", then="cut")
    return Reply(401, {"content-type": "application/json", "x-echo": key}, json.dumps({"error": error}).encode())


def test_no_secret_comes_out_anywhere(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{_CANARY}-in-a-file\n")
    settings = _SETTINGS.format(url="{url}", away=refused_url()).replace("file:key", f"file:{tmp_path / 'key'}")
    with ScriptedServer(*[_talkative] * 40) as up:
        with Server(settings.replace("{url}", up.url), env=_ENVIRONMENT) as server:
            said = [*_everything(server)]
            command = Path(f"/proc/{server.pid}/cmdline").read_bytes()
            server.terminate()
            server.wait()
        assert any(_PROVIDER in seen.headers["authorization"] for seen in up.seen), "the key did not even go out"
    out = "\n".join([*said, server.said, command.decode()])
    assert _CANARY not in out
    assert _PROMPT not in server.said


def _everything(server: Server) -> list[str]:
    """Ask for all that there is, well and badly, and return the answers with their headers."""
    token_ = token("alice", "chat")  # of another issuer's secret, so it is not believed
    good, wrong = bearer(_KEY), bearer(f"{_CANARY}-wrong")
    out = []

    def ask(method: str, target: str, headers: dict[str, str], body: object = b"") -> None:
        answer = server.ask(method, target, headers, body)
        out.append(f"{answer.status} {answer.headers} {answer.body.decode(errors='replace')}")

    for path in ("/", "/health", "/metrics", "/openapi.json", "/auth/session", "/dashboard", "/v1/models", "/events/x"):
        for headers in (good, wrong, {}, bearer(token_), {"x-api-key": _KEY}):
            ask("GET", path, {**headers, "accept": "application/json"})
    for name in ("key", "api_key", "token", "access_token", "ticket"):
        ask("GET", f"/events/x?{name}={_KEY}", {})
    for model, message in (
        ("up/x", _PROMPT),
        ("up/x", f"{_PROMPT} in the stream"),
        ("away/x", _PROMPT),
        ("nope", _PROMPT),
    ):
        ask("POST", "/api/chat", {**good, "cookie": f"a={_CANARY}"}, {"message": message, "model": model})
        asked = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": message}]}
        if model == "away/x":
            continue  # it is asked again and again, each time
        for path in ("/v1/chat/completions", "/v1/messages"):
            for more in ({}, {"stream": True}):
                ask("POST", path, good, {**asked, **more})
        ask("POST", "/v1/responses", good, {"model": model, "input": message})
    ask("GET", f"/api/chat?message={_PROMPT}", {**good, **STREAM})
    ask("POST", "/auth/ticket", good, {"path": "/events/x"})
    ask("GET", "/metrics", good)
    return out


@pytest.mark.parametrize(
    "settings",
    [
        f'[providers.up]\nkind = "openai"\napi_key = "{_CANARY}"\n',
        f'[auth]\nsecret = "{_CANARY}"\n',
        f'[auth]\nkeys = [ {{ name = "web", hash = "{_CANARY}", scopes = ["chat"] }} ]\n',
        f'[auth]\njwt = {{ algorithm = "HS256", secret = "{_CANARY}" }}\n',
        '[providers.up]\nkind = "openai"\napi_key = "env:CANARY"\nunknown = 1\n',
        '[auth]\nsecret = "env:CANARY"\nrequired = true\n',
        f'[store]\nurl = "redis://user:{_CANARY}@127.0.0.1:port/0"\n',
        f'[store]\nurl = "sqlite://user:{_CANARY}@host"\n[server]\nport = "x"\n',
    ],
)
def test_settings_that_are_refused_are_told_without_the_secret_in_them(settings: str, tmp_path: Path) -> None:
    """Also where the secret stands in the file itself, where it should not."""
    (tmp_path / "tailrace.toml").write_text(settings)
    command = [sys.executable, "-m", "tailrace", "serve", "--port", "0", "--config", str(tmp_path / "tailrace.toml")]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False, env={"CANARY": f"{_CANARY} é"}
    )
    assert ended.returncode != 0
    assert ended.stderr
    assert _CANARY not in ended.stdout + ended.stderr


def test_settings_do_not_show_their_secrets(tmp_path: Path) -> None:
    """So that neither a log line nor a traceback's exception does."""
    (tmp_path / "key").write_text(f"{_CANARY}-in-a-file")
    (tmp_path / "tailrace.toml").write_text(_SETTINGS.format(url="http://127.0.0.1:1", away="http://127.0.0.1:1"))
    loaded = load(tmp_path / "tailrace.toml", _ENVIRONMENT, {})
    assert loaded.auth.secret is not None
    assert loaded.auth.secret.reveal() == _SIGNING
    assert _CANARY not in repr(loaded)


def test_what_is_kept_on_disk_is_for_no_other_user_of_the_machine(tmp_path: Path) -> None:
    """All that was asked and answered is in it, and without credentials a run's id is the right to it."""
    with Server(f'[store]\nurl = "sqlite:///{tmp_path}/x.db"\n') as server:
        server.publish("news", 1)
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    modes.pop("x.db-lock")  # it says which process it is
    assert modes == dict.fromkeys(("x.db", "x.db-wal", "x.db-shm"), 0o600)


_JUDGED = ("access/keys.py", "access/signing.py")
"""Where what a caller presents meets what it should be."""


@pytest.mark.parametrize("module", _JUDGED)
def test_what_is_presented_is_compared_in_the_same_time_whatever_it_is(module: str) -> None:
    """By `hmac.compare_digest`; no operator of Python's stands beside it, which would stop at the first difference."""
    tree = ast.parse((ROOT / "src/tailrace" / module).read_text())
    calls = [
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    assert calls.count("compare_digest") == 1
    equalities = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and any(isinstance(each, ast.Eq | ast.NotEq) for each in node.ops)
    ]
    assert equalities == []
