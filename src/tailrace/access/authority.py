"""Whom to believe: each kind of credential is turned into a caller here, or refused.

The kinds are an API key or a token in a header, a ticket in the URL, and the session of our own pages in a cookie.
Those of the last two kinds were given for one of the first two, which stands behind them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Protocol

import msgspec

from tailrace.access.caller import Caller, anyone_at
from tailrace.access.grants import Grants
from tailrace.access.keys import PREFIX, ApiKey, ApiKeys
from tailrace.access.refusals import CredentialRefused
from tailrace.access.signing import Signer
from tailrace.access.tickets import Behind, Tickets
from tailrace.clock import SYSTEM, Clock

__all__ = ["Authority", "TokenReader"]

_SESSION_SECONDS: Final = 12 * 3600
"""How long our own pages stay signed in: about a working day."""
_TOKEN_DOTS: Final = 2
"""A token has three parts, whatever it says (RFC 7515, section 7.1)."""


class _Claims(Protocol):
    @property
    def subject(self) -> str: ...
    @property
    def scopes(self) -> tuple[str, ...]: ...
    @property
    def expires(self) -> float: ...


class TokenReader(Protocol):
    """What reads tokens: `tokens.Tokens`, which is only imported where tokens are accepted."""

    async def read(self, token: str) -> _Claims:
        """What a token claims. Raises `CredentialRefused` or `CannotTell`."""
        ...

    def close(self) -> None:
        """Look for no more keys."""
        ...


class _Session(msgspec.Struct, frozen=True, array_like=True):
    ends: int
    behind: Behind


class Authority:
    """Knows the keys and the issuer of one server. `required`: nobody may call without a credential."""

    def __init__(
        self,
        secret: bytes,
        keys: ApiKeys,
        tokens: TokenReader | None = None,
        *,
        required: bool = False,
        clock: Clock = SYSTEM,
    ) -> None:
        self.required = required
        self._keys = keys
        self._tokens = tokens
        self._clock = clock
        self.tickets = Tickets(Signer(secret, "ticket"), clock)
        self._sessions = Signer(secret, "session")

    @property
    def active(self) -> bool:
        """Whether there is anything that could be presented. Where there is not, nothing is looked at."""
        return self.required or bool(len(self._keys)) or self._tokens is not None

    async def by_credential(self, presented: str, address: str) -> Caller:
        """Whose key or token this is. Raises `CredentialRefused`, or `CannotTell` where it cannot be judged."""
        key = self._keys.find(presented)
        if key is not None:
            return _holder(key, address)
        if self._tokens is None or presented.startswith(PREFIX):
            raise CredentialRefused("the API key is not one of this server's")
        if presented.count(".") != _TOKEN_DOTS:
            raise CredentialRefused("the credential is neither one of this server's API keys nor a token")
        claims = await self._tokens.read(presented)
        owner = f"sub:{claims.subject}"
        grants = Grants.known(claims.scopes, claims.subject)
        return Caller(owner=owner, name=owner, address=address, grants=grants, expires=claims.expires)

    def is_key(self, text: str) -> bool:
        """Whether a text that stood somewhere else is one of the keys, or looks like one."""
        return text.startswith(PREFIX) or self._keys.find(text) is not None

    def close(self) -> None:
        """Let go of what goes on beside requests."""
        if self._tokens is not None:
            self._tokens.close()

    # Tickets and sessions.

    def by_ticket(self, text: str, path: str, query: str, address: str) -> tuple[Caller, bool]:
        """Who comes with a ticket, and whether it still opens streams. Raises `CredentialRefused`."""
        ticket, opens = self.tickets.read(text, path, query)
        caller = self._holder_of(ticket.behind, address)
        return (self.tickets.watcher(ticket, address) if ticket.watches else caller), opens

    def session(self, caller: Caller) -> tuple[str, int]:
        """A session for our own pages, and the seconds for which it is good."""
        behind = Behind.of(caller)
        now = int(self._clock.time())
        ends = now + _SESSION_SECONDS if behind.expires is None else min(now + _SESSION_SECONDS, int(behind.expires))
        return self._sessions.seal(msgspec.json.encode(_Session(ends, behind))), ends - now

    def by_session(self, text: str, address: str) -> Caller:
        """Who is signed in on our own pages. Raises `CredentialRefused`."""
        try:
            session = msgspec.json.decode(self._sessions.open(text), type=_Session)
        except msgspec.DecodeError:
            raise CredentialRefused("the session is not of this version") from None
        if session.ends <= self._clock.time():
            raise CredentialRefused("the session has ended")
        return replace(self._holder_of(session.behind, address), expires=session.ends)

    def _holder_of(self, behind: Behind, address: str) -> Caller:
        if behind.key:
            key = self._keys.marked(behind.key)
            if key is None:
                raise CredentialRefused("the key behind it is not accepted any more")
            return replace(_holder(key, address), expires=behind.expires)
        if behind.owner is None:
            if self.required:
                raise CredentialRefused("no credential stands behind it, and one is needed now")
            return anyone_at(address)
        owner, grants = behind.owner, behind.grants or Grants()
        return Caller(owner=owner, name=owner, address=address, grants=grants, expires=behind.expires)


def _holder(key: ApiKey, address: str) -> Caller:
    owner = f"key:{key.name}"
    return Caller(owner=owner, name=owner, address=address, grants=key.grants, limits=key.limits, key=key.mark)
