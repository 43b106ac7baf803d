"""JSON Web Tokens (RFC 7519): who a token says is calling, once its signature and its claims have been checked.

The algorithm is the settings', never the token's, and so is the kind of key that may verify it. What other keys a
token names or brings (`jku`, `jwk`, `x5u`) is not looked at. Times are looked at here, by our own clock: an end is
an end, only a beginning may lie a few seconds ahead, since clocks differ.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tailrace.access.refusals import CredentialRefused
from tailrace.clock import SYSTEM, Clock

__all__ = ["Algorithm", "Claims", "FixedKey", "KeySource", "Tokens", "check_key", "public_key"]

Algorithm = Literal["HS256", "RS256", "ES256", "EdDSA"]

LEEWAY: Final = 10.0
"""Seconds by which an issuer's clock may be ahead of ours."""

_LONGEST_SUBJECT: Final = 256
_SMALLEST_RSA: Final = 2048
_MOST_KEPT: Final = 4096
_MOST_SECONDS: Final = 1e15
_EXPIRED: Final = "the token has expired"


@dataclass(frozen=True, slots=True)
class Claims:
    """Who is calling, what scopes they have, and until when (Unix seconds)."""

    subject: str
    scopes: tuple[str, ...]
    expires: float


class _Verified(NamedTuple):
    """What a token was found to claim, and the key that proved it."""

    claims: Claims
    kid: str | None
    key: Any


class KeySource(Protocol):
    """Where the keys are that signatures are checked with."""

    async def key_for(self, kid: str | None) -> Any:
        """The key that a token names. Raises `CredentialRefused` for one that is not there, or `CannotTell`."""
        ...

    def close(self) -> None:
        """Look for no more of them."""
        ...


class FixedKey:
    """One key for all tokens: the shared secret, or the issuer's public key."""

    def __init__(self, key: Any) -> None:
        self._key = key

    async def key_for(self, kid: str | None) -> Any:
        """That key, whatever a token calls it."""
        return self._key

    def close(self) -> None:
        """There is nothing to let go of."""


class Tokens:
    """Reads the tokens of one issuer. `issuer` and `audience` are checked where they are given."""

    def __init__(
        self,
        algorithm: Algorithm,
        keys: KeySource,
        *,
        issuer: str | None = None,
        audience: str | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        self._algorithm = algorithm
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()
        self._options: Any = {
            "require": ["exp", "sub"],
            **dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat"), False),
            "verify_iss": issuer is not None,
            "verify_aud": audience is not None,
        }

    async def read(self, token: str) -> Claims:
        """What a token claims. Raises `CredentialRefused`, or `CannotTell` where its key cannot be had.

        A signature takes 0.1 to 0.3 ms to check, and a caller comes with the same token again and again: what was
        found is kept for as long as the key that proved it is the issuer's.
        """
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        known = self._verified.get(digest)
        if known is not None and known.key is await self._keys.key_for(known.kid):
            self._verified.move_to_end(digest)
            if known.claims.expires <= self._clock.time():
                raise CredentialRefused(_EXPIRED)
            return known.claims
        verified = self._verified[digest] = await self._verify(token)
        if len(self._verified) > _MOST_KEPT:
            self._verified.popitem(last=False)
        return verified.claims

    async def _verify(self, token: str) -> _Verified:
        try:
            kid = self._kid_of(token)
            key = await self._keys.key_for(kid)
            claims = self._decode(token, key)
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise CredentialRefused(f"the token is not accepted: {error}") from None
        return _Verified(self._judge(claims), kid, key)

    def close(self) -> None:
        """Look for no more keys."""
        self._keys.close()

    def _kid_of(self, token: str) -> str | None:
        header = jwt.get_unverified_header(token)
        # Before any key is looked for, so that a token of another algorithm costs nobody a request.
        if header.get("alg") != self._algorithm:
            raise CredentialRefused(f"the token is not accepted: its algorithm is not {self._algorithm}")
        return header.get("kid")

    def _decode(self, token: str, key: Any) -> Mapping[str, Any]:
        with warnings.catch_warnings():
            # A short secret was told to the operator at the start.
            warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
            return jwt.decode(
                token,
                key,
                algorithms=[self._algorithm],
                issuer=self._issuer,
                audience=self._audience,
                options=self._options,
            )

    def _judge(self, claims: Mapping[str, Any]) -> Claims:
        now = self._clock.time()
        expires, begins = _moment(claims, "exp"), _moment(claims, "nbf")
        if expires is None or expires <= now:
            raise CredentialRefused(_EXPIRED)
        if begins is not None and begins > now + LEEWAY:
            raise CredentialRefused("the token is not valid yet")
        subject, scope = claims["sub"], claims.get("scope", "")
        # It becomes a part of names and of log lines.
        if not (isinstance(subject, str) and 1 <= len(subject) <= _LONGEST_SUBJECT and subject.isprintable()):
            raise CredentialRefused(f"the token's sub is not 1 to {_LONGEST_SUBJECT} printable characters")
        if not isinstance(scope, str):
            raise CredentialRefused("the token's scope is not a text with blanks between scopes")
        return Claims(subject, tuple(scope.split()), expires)


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    # A float has no room for every integer that JSON can say.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MOST_SECONDS:
        raise CredentialRefused(f"the token's {name} is no time in seconds")
    return float(value)


def public_key(algorithm: Algorithm, pem: str) -> Any:
    """The key in a PEM text, of the kind that the algorithm needs. Raises ValueError."""
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("expected a public key in PEM form (-----BEGIN PUBLIC KEY-----)") from None
    check_key(algorithm, key)
    return key


def check_key(algorithm: Algorithm, key: object) -> None:
    """Refuse a key of another kind than the algorithm's, or one that is too weak. Raises ValueError."""
    match algorithm:
        case "RS256":
            fits = isinstance(key, RSAPublicKey) and key.key_size >= _SMALLEST_RSA
            expected = f"an RSA key of {_SMALLEST_RSA} bits or more"
        case "ES256":
            fits = isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
            expected = "a key on the curve P-256"
        case "EdDSA":
            fits, expected = isinstance(key, Ed25519PublicKey), "an Ed25519 key"
        case _:
            fits, expected = isinstance(key, bytes) and bool(key), "a secret"
    if not fits:
        raise ValueError(f"{algorithm} needs {expected}")
