"""From [auth] to whom to believe; the rest of it is tested with the settings (`test_settings_access`)."""

from __future__ import annotations

import os

import pytest

from tailrace.access.caller import anyone_at
from tailrace.access.refusals import CredentialRefused
from tailrace.access.tickets import Behind
from tailrace.server.credentials import authority, draw_secret
from tailrace.server.settings import Auth, Secret

NOBODY = Behind.of(anyone_at("192.0.2.1"))


def knows(one: Auth, other: Auth) -> bool:
    """Whether a process with the one's settings takes the tickets of one with the other's."""
    ticket, _ = authority(other).tickets.issue("/events/news", NOBODY)
    try:
        authority(one).tickets.read(ticket, "/events/news", "")
    except CredentialRefused:
        return False
    return True


def test_processes_that_were_told_the_same_secret_know_each_others_tickets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    mine, others = Auth(secret=Secret("mine")), Auth(secret=Secret("others"))
    assert knows(mine, mine)
    assert not knows(mine, others)
    assert not knows(Auth(), Auth()), "each has drawn its own"


def test_workers_of_one_supervisor_know_each_others_tickets_where_none_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    draw_secret()
    assert knows(Auth(), Auth())
    assert not knows(Auth(), Auth(secret=Secret("mine")))
    before = dict(os.environ)
    draw_secret()
    assert before == os.environ, "a reload changes nothing"
