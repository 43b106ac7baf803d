"""[auth] as it is read, and what it makes of the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tailrace.access.keys import hash_of
from tailrace.access.limits.options import Limits
from tailrace.errors import SettingsError
from tailrace.server.credentials import authority
from tailrace.server.settings import Auth, Settings, is_local, load
from tests.support.identities import SECRET, token

pytestmark = pytest.mark.anyio

Read = Callable[..., Settings]
HASH = hash_of("tr_web")
KEY = f"{{ name = 'web', hash = '{HASH}', scopes = ['chat'] }}"
JWT = "jwt = { algorithm = 'HS256', secret = 'env:ISSUER' }"
ENVIRON = {"ISSUER": SECRET, "TICKETS": "x" * 40}
PEM = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(text: str, environ: Mapping[str, str] = ENVIRON, **flags: object) -> Settings:
        file = tmp_path / "t.toml"
        file.write_text(text)
        return load(file, environ, flags)

    return read


async def whose(settings: Settings, credential: str) -> Any:
    return await authority(settings.auth).by_credential(credential, "192.0.2.1")


def test_nobody_has_to_say_who_they_are_unless_it_is_set(read: Read) -> None:
    assert read("").auth == Auth()
    assert not authority(Auth()).active


async def test_a_key_is_accepted_with_its_scopes_and_limits(read: Read) -> None:
    text = f"[auth]\nrequired = true\nkeys = [ {{ name = 'web', hash = '{HASH.upper().replace('SHA', 'sha')}', "
    settings = read(text + "scopes = ['chat', 'subscribe:{sub}-*'], limits = { requests_per_minute = 60 } } ]")
    caller = await whose(settings, "tr_web")
    assert (caller.owner, caller.grants.scopes) == ("key:web", ["chat", "subscribe:web-*"])
    assert caller.limits == Limits(requests_per_minute=60)
    assert (await whose(read(f"[auth]\nkeys = [ {KEY} ]"), "tr_web")).limits is None


async def test_a_token_of_the_issuer_is_accepted(read: Read) -> None:
    settings = read(f"[auth]\n{JWT.replace(' }', '')}, issuer = 'https://issuer.example', audience = 'tailrace' }}")
    assert (await whose(settings, token("alice"))).owner == "sub:alice"


@pytest.mark.parametrize("form", ["file", "env", "env in one line"])
async def test_a_public_key_stands_in_a_file_or_a_variable(read: Read, tmp_path: Path, form: str) -> None:
    (tmp_path / "key.pem").write_bytes(PEM)
    text = PEM.decode().replace("\n", "\\n") if "line" in form else PEM.decode()
    reference = "file:key.pem" if form == "file" else "env:PEM"
    settings = read(f"[auth]\njwt = {{ algorithm = 'ES256', public_key = '{reference}' }}", {"PEM": text})
    assert authority(settings.auth).active


def test_a_public_key_of_another_kind_is_told_at_the_start(read: Read) -> None:
    settings = read("[auth]\njwt = { algorithm = 'RS256', public_key = 'env:PEM' }", {"PEM": PEM.decode()})
    with pytest.raises(SettingsError, match=r"\[auth\] jwt public_key: RS256 needs an RSA key of 2048 bits"):
        authority(settings.auth)


def test_two_plain_keys_can_be_set_by_variables(read: Read) -> None:
    environ = {**ENVIRON, "TAILRACE_AUTH_REQUIRED": "true", "TAILRACE_AUTH_SECRET": "env:TICKETS"}
    auth = read(f"[auth]\nkeys = [ {KEY} ]", environ).auth
    assert auth.required
    assert auth.secret is not None
    assert auth.secret.reveal() == "x" * 40


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("required = true", "[auth] required: it is, but there are neither keys nor jwt"),
        ("require = true", "[auth]: unknown key 'require' (did you mean 'required'?)"),
        ("required = 1", "[auth] required: expected `bool`"),
        ("secret = 'plain'", '[auth] secret: expected "env:NAME" or "file:PATH"'),
        ("secret = 'env:NOPE'", "[auth] secret: the environment variable NOPE is not set"),
        ("keys = [ { name = 'a', hash = 'x', scopes = ['chat'] } ]", "hash: expected sha256:<64 hexadecimal digits>"),
        ("keys = [ { nam = 'a' } ]", "[auth] keys: unknown key 'nam' (did you mean 'name'?)"),
        (f"keys = [ {{ name = 'a b', hash = '{HASH}', scopes = ['chat'] }} ]", "name: expected 1 to 64 of"),
        (f"keys = [ {{ name = 'a', hash = '{HASH}', scopes = [] }} ]", "scopes: expected one or more for a"),
        (
            f"keys = [ {{ name = 'a', hash = '{HASH}', scopes = ['x'] }} ]",
            "scopes of a: expected chat, publ",
        ),
        (f"keys = [ {{ name = 'a', hash = '{HASH}', scopes = ['publish'] }} ]", "publish:* for all"),
        (
            f"keys = [ {{ name = 'a', hash = '{HASH}', scopes = ['chat'], limits = {{ rpm = 1 }} }} ]",
            "unknown key 'rpm'",
        ),
        (f"keys = [ {KEY}, {KEY} ]", "keys: the key web is there twice"),
        (
            "jwt = { algorithm = 'none' }",
            "jwt algorithm: expected one of HS256, RS256, ES256, EdDSA; got 'none'",
        ),
        ("jwt = { algorithm = 'HS256' }", "expected secret for HS256, and nothing else; got none"),
        (
            "jwt = { algorithm = 'RS256', secret = 'env:ISSUER' }",
            "expected public_key or jwks_url for RS256",
        ),
        (
            "jwt = { algorithm = 'HS256', jwks_url = 'https://i' }",
            "expected secret for HS256, and nothing else; got jwks_url",
        ),
        ("jwt = { algorithm = 'RS256', jwks_url = 'http://i.example' }", "jwks_url: expected an https:// URL"),
        ("jwt = { algorithm = 'RS256', jwks_url = 'https://u:p@i.example' }", "jwks_url: expected an https:// URL"),
        (
            "jwt = { algorithm = 'RS256', jwks_url = 'https://i', isuer = 'x' }",
            "[auth] jwt: unknown key 'isuer'",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(read: Read, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(f"[auth]\n{text}")
    assert told in str(refused.value)
    assert "plain" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["https://issuer.example/keys", "http://127.0.0.1:8080/k", "http://[::1]/", "http://localhost/"]
)
def test_keys_are_fetched_where_nobody_can_exchange_them_on_the_way(read: Read, url: str) -> None:
    jwt = read(f"[auth]\njwt = {{ algorithm = 'EdDSA', jwks_url = '{url}' }}").auth.jwt
    assert jwt is not None
    assert jwt.jwks_url == url


def test_the_operator_is_told_what_it_means(read: Read) -> None:
    keys = f"[auth]\nkeys = [ {KEY} ]\n"
    assert "only this machine is listened to (127.0.0.1)" in read("").notes[-1]
    assert "0.0.0.0 is open to others: whoever reaches it may use it" in read("", host="0.0.0.0").notes[-1]
    *_, openness, secret = read(keys).notes
    assert "only this machine" in openness
    assert secret == "[auth] secret is not set: tickets and sessions end with this process"
    assert "set it where several share a store" in read(keys, store="redis://h").notes[-1]
    closed = read(f"{keys}required = true\nsecret = 'env:TICKETS'").notes
    assert not [note for note in closed if "credential" in note or "secret" in note]
    assert "less than 32 bytes" in read(f"[auth]\n{JWT}", {"ISSUER": "short"}).notes[-1]


def test_secrets_are_not_shown(read: Read) -> None:
    shown = repr(read(f"[auth]\nsecret = 'env:TICKETS'\n{JWT}"))
    assert SECRET not in shown
    assert "x" * 40 not in shown


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("h", False),
    ],
)
def test_who_listens_for_this_machine_alone(host: str, local: bool) -> None:
    assert is_local(host) is local
