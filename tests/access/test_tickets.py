"""Tickets: what they are for, and how long they are good."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.access.caller import Caller
from tailrace.access.grants import Grants
from tailrace.access.refusals import CredentialRefused
from tailrace.access.signing import Signer
from tailrace.access.tickets import Behind, Tickets, place_of
from tailrace.testing import FakeClock

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=8)
FIELDS = st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=5)
GRANTS = Grants.parse(["chat", "subscribe:u-{sub}", "publish:a*b"], "alice")
ALICE = Caller(owner="sub:alice", name="sub:alice", address="192.0.2.1", grants=GRANTS, expires=1_700_000_300.5)


class Case:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.tickets = Tickets(Signer(b"secret", "ticket"), self.clock)

    def issue(self, path: str = "/events/news", caller: Caller = ALICE) -> str:
        return self.tickets.issue(path, Behind.of(caller))[0]

    def refused(self, ticket: str, path: str, query: str, why: str) -> None:
        with pytest.raises(CredentialRefused, match=why):
            self.tickets.read(ticket, path, query)


def test_a_ticket_says_whose_it_is_and_what_they_may() -> None:
    case = Case()
    ticket, opens = case.tickets.read(case.issue(), "/events/news", "")
    assert opens
    assert (ticket.behind.owner, ticket.behind.grants, ticket.behind.expires) == ("sub:alice", GRANTS, 1_700_000_300.5)


def test_what_a_key_allows_is_for_the_settings_to_say_when_its_ticket_is_used() -> None:
    keyed = Behind.of(Caller(owner="key:web", name="key:web", address="x", grants=GRANTS, key="0123"))
    assert (keyed.key, keyed.grants) == ("0123", None)


def test_a_ticket_opens_streams_for_a_minute_and_ends_with_its_credential() -> None:
    case = Case()
    ticket, seconds = case.tickets.issue("/events/news", Behind.of(ALICE))
    assert seconds == 60
    case.clock.advance(59)
    assert case.tickets.read(ticket, "/events/news", "")[1]
    case.clock.advance(1)
    assert not case.tickets.read(ticket, "/events/news", "")[1]
    case.clock.advance(241)
    case.refused(ticket, "/events/news", "", "credential behind the ticket has expired")


def test_a_ticket_is_not_good_for_longer_than_its_credential() -> None:
    case = Case()
    case.clock.advance(290)
    assert case.tickets.issue("/events/news", Behind.of(ALICE))[1] == 10


@given(TEXT, FIELDS, st.randoms(use_true_random=False))
def test_a_place_is_the_same_however_it_is_spelled(path: str, fields: list[tuple[str, str]], random: object) -> None:
    names = sorted({name for name, _ in fields}, key=lambda _: random.random())  # type: ignore[attr-defined]
    other = [field for name in names for field in fields if field[0] == name]
    spelled = "&".join(f"{quote(name)}={quote(value)}" for name, value in other)
    passing = "&".join(filter(None, ["ticket=x", spelled, "last_event_id=y"]))
    assert place_of(path, urlencode(fields)) == place_of(path, passing)


@given(TEXT, FIELDS, TEXT, FIELDS)
def test_another_place_is_another(
    path: str, fields: list[tuple[str, str]], other: str, more: list[tuple[str, str]]
) -> None:
    passing = {"ticket", "last_event_id"}
    meant, named = (sorted([f for f in each if f[0] not in passing], key=lambda f: f[0]) for each in (fields, more))
    same = (path, meant) == (other, named)
    assert (place_of(path, urlencode(fields)) == place_of(other, urlencode(more))) is same


def test_a_ticket_for_a_path_with_strange_characters_opens_it() -> None:
    case = Case()
    ticket = case.issue("/events/a%7Eb?event=%C3%BC&event=")
    assert case.tickets.read(ticket, "/events/a~b", "event=ü&event=")[1]
    case.refused(ticket, "/events/a~b", "event=%C3%BC", "another path")


def test_a_shared_ticket_is_for_one_run_however_it_is_watched() -> None:
    case = Case()
    ticket, seconds = case.tickets.share("run1", Behind.of(ALICE))
    assert seconds == 300
    for query in ("", "snapshot=1", "ticket=x&last_event_id=run1-3"):
        assert case.tickets.read(ticket, "/api/chat/run1", query)[0].watches == "run1"
    for path in ("/api/chat/run2", "/api/chat", "/api/chat/run1/", "/events/run1"):
        case.refused(ticket, path, "", "another path")
    watcher = case.tickets.watcher(case.tickets.read(ticket, "/api/chat/run1", "")[0], "192.0.2.9")
    assert (watcher.owner, watcher.name, watcher.watches) == (None, "ip:192.0.2.9", "run1")
    assert watcher.grants.scopes == []


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'["x",["a"],"p",""]', b"[1,[1]]"])
def test_what_another_version_has_signed_is_refused(content: bytes) -> None:
    Case().refused(Signer(b"secret", "ticket").seal(content), "/", "", "version")
