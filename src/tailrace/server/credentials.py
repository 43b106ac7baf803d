"""From [auth] to whom to believe: the keys, the issuer and the secret that the settings name.

Workers of one supervisor sign alike, also where no secret is set: each is told the one that was drawn for all.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Final

from tailrace.access.authority import Authority
from tailrace.access.grants import Grants
from tailrace.access.keys import ApiKey, ApiKeys
from tailrace.access.limits.options import Limits
from tailrace.errors import SettingsError
from tailrace.server.settings import Auth, Jwt, Key

if TYPE_CHECKING:
    from tailrace.access.tokens import KeySource, Tokens

__all__ = ["authority", "draw_secret"]

_DRAWN: Final = "_TAILRACE_DRAWN_SECRET"
_BYTES: Final = 32


def draw_secret() -> None:
    """Draw the secret that this process and all that it starts sign with, where none is set."""
    os.environ.setdefault(_DRAWN, secrets.token_hex(_BYTES))


def authority(auth: Auth) -> Authority:
    """Whom [auth] says to believe. Raises `SettingsError` where a public key is none, or of another kind."""
    drawn = os.environ.get(_DRAWN) or secrets.token_hex(_BYTES)
    secret = auth.secret.reveal() if auth.secret is not None else drawn
    tokens = _tokens(auth.jwt) if auth.jwt is not None else None
    return Authority(secret.encode(), ApiKeys(map(_key, auth.keys)), tokens, required=auth.required)


def _key(key: Key) -> ApiKey:
    own = key.limits.limits()
    return ApiKey(
        name=key.name,
        digest=key.digest,
        grants=Grants.parse(key.scopes, key.name),
        limits=own if own != Limits() else None,
    )


def _tokens(jwt: Jwt) -> Tokens:
    from tailrace.access.tokens import Tokens  # noqa: PLC0415  # brings cryptography, which few starts need

    return Tokens(jwt.algorithm, _keys(jwt), issuer=jwt.issuer, audience=jwt.audience)


def _keys(jwt: Jwt) -> KeySource:
    from tailrace.access.tokens import FixedKey, public_key  # noqa: PLC0415  # as above

    if jwt.secret is not None:
        return FixedKey(jwt.secret.reveal().encode())
    if jwt.public_key is not None:
        try:
            return FixedKey(public_key(jwt.algorithm, jwt.public_key.pem))
        except ValueError as problem:
            raise SettingsError(f"[auth] jwt public_key: {problem}") from None
    from tailrace.access.jwks import PublishedKeys  # noqa: PLC0415  # as above

    return PublishedKeys(jwt.jwks_url, jwt.algorithm)
