"""[auth]: who may call, and what proves it.

What a scope or an algorithm means is `tailrace.access`'s matter; here it is only held that they are ones.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from tailrace.access.grants import Grants
from tailrace.errors import SettingsError
from tailrace.server.settings.limits import CallerLimits
from tailrace.server.settings.secret import Secret, read_reference
from tailrace.server.settings.section import NonEmpty, Section

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["Auth", "Jwt", "Key", "PublicKey", "is_local"]

_NAME: Final = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_HASH: Final = re.compile(r"sha256:[0-9a-fA-F]{64}")

_SAFE_SECRET: Final = 32
"""Bytes that a secret of HS256 should have (RFC 7518, 3.2): whoever has one token can try shorter ones out."""


class PublicKey:
    """The PEM text of a public key, from where the settings say that it is."""

    __slots__ = ("pem",)

    def __init__(self, pem: str) -> None:
        """Hold it. In an environment variable it may be one line, with `\\n` where its lines end."""
        self.pem = pem.replace("\\n", "\n")

    @classmethod
    def resolve(cls, reference: object, environ: Mapping[str, str], folder: Path) -> PublicKey:
        """Read the key that `reference` names. Raises SettingsError as for a secret."""
        return cls(read_reference(reference, environ, folder))


class Key(Section, frozen=True, kw_only=True):
    """An API key, as a hash. Several may have one name: what one of them has started belongs to all of them."""

    name: str
    hash: str
    scopes: tuple[str, ...]
    limits: CallerLimits = CallerLimits()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _NAME.fullmatch(self.name):
            raise SettingsError(f"name: expected 1 to 64 of A-Z a-z 0-9 _ . @ -; got {self.name!r}")
        if not _HASH.fullmatch(self.hash):
            # What stands there may be the key itself.
            expected = "sha256:<64 hexadecimal digits>, as `tailrace key new` prints it"
            raise SettingsError(f"hash: expected {expected}, for {self.name}")
        if not self.scopes:
            raise SettingsError(f"scopes: expected one or more for {self.name}, there is none")
        try:
            Grants.parse(self.scopes, self.name)
        except ValueError as problem:
            raise SettingsError(f"scopes of {self.name}: {problem}") from None

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the key."""
        return bytes.fromhex(self.hash.partition(":")[2])


class Jwt(Section, frozen=True, kw_only=True):
    """JSON Web Tokens of one issuer: the algorithm that they must have, and the key that proves it."""

    algorithm: Literal["HS256", "RS256", "ES256", "EdDSA"]
    secret: Secret | None = None
    public_key: PublicKey | None = None
    jwks_url: str = ""
    issuer: NonEmpty | None = None
    audience: NonEmpty | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in ("secret", "public_key", "jwks_url") if getattr(self, name)]
        wanted = ["secret"] if self.algorithm == "HS256" else ["public_key", "jwks_url"]
        if len(given) != 1 or given[0] not in wanted:
            got = " and ".join(given) or "none"
            raise SettingsError(f"expected {' or '.join(wanted)} for {self.algorithm}, and nothing else; got {got}")
        if self.jwks_url and not _is_safe(self.jwks_url):
            raise SettingsError("jwks_url: expected an https:// URL (http:// to this machine alone)")


class Auth(Section, frozen=True, kw_only=True):
    """[auth]: `required` says that nobody may call without a credential. `secret` signs tickets and sessions."""

    required: bool = False
    secret: Secret | None = None
    keys: tuple[Key, ...] = ()
    jwt: Jwt | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.required and not self.active:
            raise SettingsError("required: it is, but there are neither keys nor jwt, so that nobody could call")
        digests = [key.digest for key in self.keys]
        if twice := next((key.name for key in self.keys if digests.count(key.digest) > 1), None):
            raise SettingsError(f"keys: the key {twice} is there twice")

    @property
    def active(self) -> bool:
        """Whether there is anything that a caller could present."""
        return bool(self.keys) or self.jwt is not None

    def notes(self, host: str, *, shared: bool) -> Iterator[str]:
        """Sentences for the operator about what this means for a server that listens on `host`."""
        if not self.required:
            yield _openness(host)
        if self.active and self.secret is None:
            reach = "and are known to this instance alone: set it where several share a store" if shared else ""
            yield f"[auth] secret is not set: tickets and sessions end with this process{', ' if reach else ''}{reach}"
        weak = self.jwt is not None and self.jwt.secret is not None and len(self.jwt.secret.reveal()) < _SAFE_SECRET
        if weak:
            yield f"[auth] jwt: a secret of less than {_SAFE_SECRET} bytes can be found by trying, from any one token"


def _openness(host: str) -> str:
    if is_local(host):
        return f"no credential is required, so only this machine is listened to ({host}); see [auth] in the settings"
    return f"no credential is required, and {host} is open to others: whoever reaches it may use it; see [auth]"


def is_local(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`, or is reached by that name."""
    try:
        return host.lower() == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_safe(url: str) -> bool:
    """Whether nobody on the way can put keys of their own in place of those at a URL."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    secured = parts.scheme == "https" or (parts.scheme == "http" and is_local(host))
    return secured and bool(host) and not set(url) & set("@# ")
