"""Tickets: a right that fits in a URL, since an `EventSource` cannot send headers.

A ticket is signed and says all that there is to know of it, so that every instance with the same secret reads it: what
it is for (one path, or one run to watch), when it ends, and whose credential stands behind it. It does not last: what
is in a URL is in logs and histories. But an `EventSource` repeats its URL whenever its connection breaks, so that a
reader who has already had something of the stream may come back with it for as long as the credential is good.
"""

from __future__ import annotations

import hashlib
from typing import Final
from urllib.parse import parse_qsl, unquote

import msgspec

from tailrace.access.caller import Caller
from tailrace.access.grants import Grants
from tailrace.access.refusals import CredentialRefused
from tailrace.access.signing import Signer
from tailrace.clock import SYSTEM, Clock

__all__ = ["Behind", "Ticket", "Tickets", "place_of", "run_path"]

SECONDS: Final = 60
"""How long a ticket opens streams."""
SHARED_SECONDS: Final = 3600
"""The same of one that is given to others: a person has to follow it."""

_PASSING: Final = frozenset({"ticket", "last_event_id"})
"""What may differ from one request to the next: neither says what is read."""


class Behind(msgspec.Struct, frozen=True, array_like=True):
    """The credential behind a ticket or a session: whose it is, when it ends, and what it allows.

    A key is named by its mark instead: what it allows is what the settings say of it when it is used, and where
    they name it no more, it is over.
    """

    owner: str | None
    expires: float | None = None
    key: str = ""
    grants: Grants | None = None

    @classmethod
    def of(cls, caller: Caller) -> Behind:
        """The credential that a caller came with; nobody's where nobody has said who they are."""
        copied = None if caller.key or caller.owner is None else caller.grants
        return cls(caller.owner, caller.expires, caller.key, copied)


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    """For `place` until `ends` (Unix seconds). `watches` is the run that others may watch with it."""

    ends: int
    behind: Behind
    place: str = ""
    watches: str = ""


class Tickets:
    """Issues and reads tickets."""

    def __init__(self, signer: Signer, clock: Clock = SYSTEM) -> None:
        self._signer = signer
        self._clock = clock

    def issue(self, path: str, behind: Behind) -> tuple[str, int]:
        """A ticket for a path with its query, and the seconds for which it opens streams. Raises ValueError."""
        return self._sealed(SECONDS, behind, place=place_of(*_split(path)))

    def share(self, run: str, behind: Behind) -> tuple[str, int]:
        """A ticket with which others may watch a run."""
        return self._sealed(SHARED_SECONDS, behind, watches=run)

    def _sealed(self, seconds: int, behind: Behind, *, place: str = "", watches: str = "") -> tuple[str, int]:
        now = self._clock.time()
        ends = int(now) + seconds if behind.expires is None else int(min(now + seconds, behind.expires))
        return self._signer.seal(msgspec.json.encode(Ticket(ends, behind, place, watches))), ends - int(now)

    def read(self, text: str, path: str, query: str) -> tuple[Ticket, bool]:
        """The ticket that somebody presents for a path, and whether it still opens streams.

        Raises `CredentialRefused` where it is none, is for something else, or where the credential behind it has ended.
        """
        try:
            ticket = msgspec.json.decode(self._signer.open(text), type=Ticket)
        except msgspec.DecodeError:  # signed by another version of ours
            raise CredentialRefused("the ticket is not of this version") from None
        except CredentialRefused as refused:
            raise CredentialRefused(f"the ticket is not accepted: {refused}") from None
        fits = path == run_path(ticket.watches) if ticket.watches else ticket.place == place_of(path, query)
        if not fits:
            raise CredentialRefused("the ticket is for another path")
        now = self._clock.time()
        if ticket.behind.expires is not None and ticket.behind.expires <= now:
            raise CredentialRefused("the credential behind the ticket has expired")
        return ticket, ticket.ends > now

    @staticmethod
    def watcher(ticket: Ticket, address: str) -> Caller:
        """Whoever comes with a ticket that was shared: they may watch its run, and nothing else."""
        return Caller(
            owner=None,
            name=f"ip:{address}",
            address=address,
            grants=Grants(),
            expires=ticket.behind.expires,
            watches=ticket.watches,
        )


def run_path(run: str) -> str:
    """Where a run is watched."""
    return f"/api/chat/{run}"


def place_of(path: str, query: str) -> str:
    """What a ticket says of a path, already decoded, and its query: the same for whatever means the same request."""
    fields = [field for field in parse_qsl(query, keep_blank_values=True) if field[0] not in _PASSING]
    fields.sort(
        key=lambda field: field[0]
    )  # which of several names came first says nothing; of one name's values it may
    told = msgspec.json.encode((path, fields))
    return hashlib.sha256(told).hexdigest()[:32]


def _split(target: str) -> tuple[str, str]:
    """A path, decoded, and its query. Raises ValueError for what is no path of this server."""
    path, _, query = target.partition("?")
    if not path.startswith("/") or path.startswith("//") or "#" in target or not target.isprintable():
        raise ValueError("path: expected a path of this server with its query, such as /events/news?event=tick")
    return unquote(path), query
