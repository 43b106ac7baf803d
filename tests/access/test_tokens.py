"""Tokens: what is believed of them, and the tricks that are not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tailrace.access.refusals import CredentialRefused
from tailrace.access.tokens import Claims, FixedKey, Tokens, public_key
from tailrace.testing import FakeClock

pytestmark = pytest.mark.anyio

SECRET = b"a secret that is as long as HS256 wants it to be"
NOW = 1_700_000_000
RSA, OTHER_RSA = (rsa.generate_private_key(65537, 2048) for _ in range(2))
PRIVATE: dict[str, Any] = {
    "RS256": RSA,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def pem(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def reader(algorithm: Any = "HS256", key: Any = SECRET, **options: Any) -> Tokens:
    return Tokens(algorithm, FixedKey(key), clock=FakeClock(NOW), **options)


def signed(algorithm: str = "HS256", key: Any = SECRET, header: dict[str, Any] | None = None, **claims: Any) -> str:
    said = {"sub": "alice", "exp": NOW + 60, "scope": "chat subscribe:*", **claims}
    said = {name: value for name, value in said.items() if value is not None}
    return jwt.PyJWS().encode(json.dumps(said).encode(), key, algorithm, headers=header)


async def refused(tokens: Tokens, token: str, why: str = "token") -> None:
    with pytest.raises(CredentialRefused, match=why):
        await tokens.read(token)


async def test_a_token_says_who_is_calling_what_they_may_and_until_when() -> None:
    assert await reader().read(signed()) == Claims("alice", ("chat", "subscribe:*"), NOW + 60)
    assert await reader().read(signed(scope=None)) == Claims("alice", (), NOW + 60)


@pytest.mark.parametrize("algorithm", PRIVATE)
async def test_each_algorithm_is_checked_with_its_kind_of_key(algorithm: Any) -> None:
    tokens = reader(algorithm, public_key(algorithm, pem(PRIVATE[algorithm])))
    assert (await tokens.read(signed(algorithm, PRIVATE[algorithm]))).subject == "alice"
    for other, key in PRIVATE.items():
        if other != algorithm:
            await refused(tokens, signed(other, key), "its algorithm is not")
    await refused(tokens, signed(), "its algorithm is not")


async def test_a_public_key_is_no_shared_secret() -> None:
    """Whoever has the public key could sign with it where the token chooses the algorithm (CVE-2015-9235)."""
    tokens = reader("RS256", public_key("RS256", pem(RSA)))
    head, body = (
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=")
        for each in ({"alg": "HS256", "typ": "JWT"}, {"sub": "alice", "exp": NOW + 60})
    )
    for secret in (pem(RSA), pem(RSA).strip()):
        signature = base64.urlsafe_b64encode(hmac.digest(secret.encode(), head + b"." + body, hashlib.sha256))
        await refused(tokens, b".".join((head, body, signature.rstrip(b"="))).decode(), "its algorithm is not RS256")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "hs256", "HS512", None, 256, ["HS256"], {}])
async def test_no_algorithm_but_the_settings_own_is_looked_at(algorithm: Any) -> None:
    head, body = (
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode()
        for each in ({"alg": algorithm}, {"sub": "alice", "exp": NOW + 60})
    )
    for signature in ("", "AAAA"):
        await refused(reader(), f"{head}.{body}.{signature}", "not accepted")


async def test_keys_that_a_token_brings_or_names_are_not_looked_at() -> None:
    numbers = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(OTHER_RSA.public_key()))
    tokens = reader("RS256", public_key("RS256", pem(RSA)))
    for header in (
        {"jwk": numbers},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example"},
        {"kid": "x"},
    ):
        await refused(tokens, signed("RS256", OTHER_RSA, header), "Signature")
        assert (await tokens.read(signed("RS256", RSA, header))).subject == "alice"


@pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1=1 --", "http://evil.example/", "\0", "x" * 4000, ""])
async def test_a_kid_is_a_name_and_leads_nowhere(kid: str) -> None:
    await refused(reader(), signed(key=b"x" * 32, header={"kid": kid}), "Signature")


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": None}, "exp"),
        ({"exp": NOW}, "has expired"),
        ({"exp": NOW - 1}, "has expired"),
        ({"exp": "soon"}, "no time"),
        ({"exp": True}, "no time"),
        ({"exp": float("inf")}, "no time"),
        ({"exp": float("nan")}, "no time"),
        ({"exp": 10**400}, "no time"),
        ({"nbf": -(10**400)}, "no time"),
        ({"exp": [NOW + 60]}, "no time"),
        ({"nbf": NOW + 11}, "not valid yet"),
        ({"nbf": "x"}, "no time"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": "x" * 257}, "sub"),
        ({"sub": "a\nb"}, "sub"),
        ({"scope": ["chat"]}, "scope"),
        ({"scope": 7}, "scope"),
    ],
)
async def test_what_a_token_must_say_it_says_properly(claims: dict[str, Any], why: str) -> None:
    await refused(reader(), signed(**claims), why)


async def test_clocks_may_differ_by_a_few_seconds_at_the_beginning_and_not_at_the_end() -> None:
    assert (await reader().read(signed(nbf=NOW + 10, iat=NOW + 1000))).subject == "alice"
    assert (await reader().read(signed(exp=NOW + 0.5))).expires == NOW + 0.5


async def test_issuer_and_audience_are_checked_where_they_are_set() -> None:
    strict = reader(issuer="https://i.example", audience="tailrace")
    good: dict[str, Any] = {"iss": "https://i.example", "aud": ["other", "tailrace"]}
    assert (await strict.read(signed(**good))).subject == "alice"
    for name, wrong in (
        ("iss", "x"),
        ("iss", None),
        ("iss", [good["iss"]]),
        ("aud", "other"),
        ("aud", None),
        ("aud", []),
    ):
        await refused(strict, signed(**{**good, name: wrong}), "not accepted")
    assert (await reader().read(signed(**good))).subject == "alice"


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "e30.e30.e30", "ü.ü.ü", "[" * 5000, "eyJhbGciOiJIUzI1NiJ9.W10.x", "\udcff"]
)
async def test_what_is_no_token_is_refused(token: str) -> None:
    await refused(reader(), token)


async def test_a_token_that_nests_deeply_is_refused() -> None:
    deep = base64.urlsafe_b64encode(b"[" * 100_000).rstrip(b"=").decode()
    await refused(reader(), f"{deep}.{deep}.x")


async def test_a_short_secret_works_without_a_word_for_each_token() -> None:
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = signed(key=b"short")
    assert (await reader(key=b"short").read(token)).subject == "alice"


@pytest.mark.parametrize(
    ("algorithm", "text"),
    [
        ("RS256", pem(PRIVATE["ES256"])),
        ("RS256", pem(rsa.generate_private_key(65537, 1024))),
        ("ES256", pem(RSA)),
        ("ES256", pem(ec.generate_private_key(ec.SECP384R1()))),
        ("EdDSA", pem(RSA)),
        ("RS256", "nonsense"),
        ("RS256", RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()),
    ],
)
def test_a_key_of_another_kind_is_refused_at_the_start(algorithm: Any, text: str) -> None:
    with pytest.raises(ValueError, match=r"needs|expected"):
        public_key(algorithm, text)


async def test_a_signature_is_checked_once_and_a_kept_answer_ends_with_its_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked, decode = [], jwt.decode

    def counting(*given: Any, **options: Any) -> Any:
        checked.append(given)
        return decode(*given, **options)

    monkeypatch.setattr(jwt, "decode", counting)
    clock = FakeClock(NOW)
    tokens = Tokens("HS256", FixedKey(SECRET), clock=clock)
    token = signed()
    for _ in range(3):
        assert (await tokens.read(token)).subject == "alice"
    assert len(checked) == 1
    await refused(tokens, f"{token[:-1]}{'A' if token[-1] != 'A' else 'E'}")
    clock.advance(60)
    await refused(tokens, token, "has expired")


async def test_what_is_kept_of_tokens_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.access.tokens._MOST_KEPT", 3)
    tokens = reader()
    for number in range(9):
        await tokens.read(signed(sub=f"user-{number}"))
    assert len(tokens._verified) == 3
