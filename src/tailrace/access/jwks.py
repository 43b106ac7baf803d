"""An issuer's public keys, as it publishes them (JWKS, RFC 7517): fetched, kept, and fetched again when they rotate.

Keys that are old are used while new ones are fetched, and for as long as their URL is away. A token that names a
key which is not there is a reason to look, but not more often than every few seconds: anybody can make one up.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
import jwt

from tailrace.access.refusals import CannotTell, CredentialRefused
from tailrace.access.tokens import Algorithm, check_key
from tailrace.clock import SYSTEM, Clock

__all__ = ["PublishedKeys"]

log = logging.getLogger("tailrace")

_FRESH: Final = 300.0
"""Seconds for which keys are used without a look at whether there are others."""
_MOST_LOOKS: Final = 5
"""How often it is looked in a row; then once in `_PAUSE` seconds."""
_PAUSE: Final = 5.0
_TIMEOUT: Final = 5.0
_MOST_BYTES: Final = 262_144

Fetch = Callable[[str], Awaitable[bytes]]


class PublishedKeys:
    """The keys for `algorithm` at `url`."""

    def __init__(self, url: str, algorithm: Algorithm, *, clock: Clock = SYSTEM, fetch: Fetch | None = None) -> None:
        self._url = url
        self._algorithm = algorithm
        self._clock = clock
        self._fetch = fetch or fetch_bounded
        self._keys: dict[str | None, Any] = {}
        self._fetched_at = float("-inf")
        self._looks = float(_MOST_LOOKS)  # how often it may be looked now
        self._counted_at = clock.monotonic()
        self._fetching: asyncio.Task[None] | None = None

    async def key_for(self, kid: str | None) -> Any:
        """The key that a token names; one that names none means the only one. Raises as `KeySource` does."""
        if self._keys and self._clock.monotonic() - self._fetched_at > _FRESH:
            self._begin()
        if self._find(kid) is None:
            self._begin()
            if self._fetching is not None:
                await asyncio.shield(self._fetching)
        found = self._find(kid)
        if found is None and not self._keys:
            raise CannotTell("the keys that tokens are checked with cannot be had now; try again", _PAUSE)
        if found is None:
            raise CredentialRefused("the token is not accepted: no key of its issuer has its kid")
        return found

    def _find(self, kid: str | None) -> Any:
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)

    def _begin(self) -> None:
        """Fetch, unless that goes on already or was tried too often; whoever comes meanwhile waits for the same."""
        if self._fetching is None and self._may_look():
            self._fetching = asyncio.create_task(self._renew())

    def _may_look(self) -> bool:
        now = self._clock.monotonic()
        self._looks = min(_MOST_LOOKS, self._looks + (now - self._counted_at) / _PAUSE)
        self._counted_at = now
        if self._looks < 1:
            return False
        self._looks -= 1
        return True

    async def _renew(self) -> None:
        try:
            self._keys = _usable(await self._fetch(self._url), self._algorithm)
            self._fetched_at = self._clock.monotonic()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            kept = "those of before stay" if self._keys else "no token can be checked"
            log.warning("the keys at %s could not be fetched (%s); %s", self._url, _told(error), kept)
        finally:
            self._fetching = None

    def close(self) -> None:
        """Fetch no more."""
        if self._fetching is not None:
            self._fetching.cancel()


async def fetch_bounded(url: str) -> bytes:
    """What stands at a URL, if it comes in time and is not too large. Raises `aiohttp.ClientError` and others."""
    limits = aiohttp.ClientTimeout(total=_TIMEOUT)
    async with (
        aiohttp.ClientSession(timeout=limits, headers={"accept": "application/json"}) as session,
        # A redirect could lead to where the settings would not have let the URL point.
        session.get(url, allow_redirects=False) as answer,
    ):
        if answer.status != 200:
            raise ValueError(f"it answers {answer.status}")
        body = bytearray()
        async for piece in answer.content.iter_any():
            body += piece
            if len(body) > _MOST_BYTES:
                raise ValueError(f"it has more than {_MOST_BYTES} bytes")
        return bytes(body)


def _usable(body: bytes, algorithm: Algorithm) -> dict[str | None, Any]:
    """Those keys of a set that may verify a signature of this algorithm. Raises ValueError where there are none."""
    try:
        listed = json.loads(body)["keys"]
    except (KeyError, TypeError, RecursionError):
        raise ValueError("it is no key set") from None
    keys: dict[str | None, Any] = {}
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and (key := _read(each, algorithm)) is not None:
            keys[each.get("kid")] = key
    if not keys:
        raise ValueError(f"it has no key for {algorithm}")
    return keys


def _read(each: dict[str, Any], algorithm: Algorithm) -> Any:
    """A published key; None for one that is for something else, or that is none."""
    if each.get("use", "sig") != "sig" or each.get("alg", algorithm) not in {algorithm, "Ed25519"}:
        return None
    if not isinstance(each.get("kid"), str | None):
        return None
    try:
        key = jwt.PyJWK(each, algorithm).key
        check_key(algorithm, key)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    return key


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
