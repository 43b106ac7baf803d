"""Who is believed to be calling, by each kind of credential."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from tailrace.access.authority import Authority
from tailrace.access.caller import Caller, anyone_at
from tailrace.access.grants import Grants
from tailrace.access.keys import ApiKey, ApiKeys
from tailrace.access.limits.options import Limits
from tailrace.access.refusals import CredentialRefused
from tailrace.access.tickets import Behind
from tailrace.access.tokens import FixedKey, Tokens
from tailrace.testing import FakeClock
from tests.support.identities import SECRET, token

pytestmark = pytest.mark.anyio

LIMITS = Limits(requests_per_minute=3)
WEB = ApiKey(name="web", digest=hashlib.sha256(b"tr_web").digest(), grants=Grants.parse(["chat"]), limits=LIMITS)
PLACE = ("/events/news", "")


def authority(*keys: ApiKey, tokens: bool = True, required: bool = True, clock: FakeClock | None = None) -> Authority:
    clock = clock or FakeClock()
    reader = Tokens("HS256", FixedKey(SECRET.encode()), clock=clock) if tokens else None
    return Authority(b"secret", ApiKeys(keys), reader, required=required, clock=clock)


async def test_a_key_makes_its_callers_one() -> None:
    caller = await authority(WEB).by_credential("tr_web", "192.0.2.1")
    assert (caller.owner, caller.name, caller.address) == ("key:web", "key:web", "192.0.2.1")
    assert (caller.grants, caller.limits, caller.expires) == (WEB.grants, LIMITS, None)


async def test_a_token_makes_its_subject_the_caller() -> None:
    caller = await authority().by_credential(token("alice", "chat x subscribe:u-{sub}", exp=1_700_000_060), "::1")
    assert (caller.owner, caller.name, caller.expires) == ("sub:alice", "sub:alice", 1_700_000_060)
    assert caller.grants.scopes == ["chat", "subscribe:u-alice"]


async def test_a_subject_is_never_a_key_of_the_same_name() -> None:
    subject = await authority(WEB).by_credential(token("web", exp=1_700_000_060), "x")
    assert subject.owner != "key:web"


@pytest.mark.parametrize(
    ("presented", "why"),
    [
        ("tr_other", "the API key is not one of this server's"),
        ("sk-mistyped", "the credential is neither one of this server's API keys nor a token"),
        ("a.b.c", "the token is not accepted: "),
    ],
)
async def test_who_is_refused_is_told_what_was_wrong_with_what_they_sent(presented: str, why: str) -> None:
    with pytest.raises(CredentialRefused, match=f"^{why}"):
        await authority(WEB).by_credential(presented, "x")


@pytest.mark.parametrize("presented", ["tr_other", "", WEB.mark, WEB.digest.hex(), "key:web"])
async def test_what_is_no_credential_is_refused(presented: str) -> None:
    for whom in (authority(WEB), authority(WEB, tokens=False)):
        with pytest.raises(CredentialRefused):
            await whom.by_credential(presented, "x")


def test_nothing_is_looked_at_where_nothing_could_be_presented() -> None:
    assert not authority(tokens=False, required=False).active
    assert authority(WEB, tokens=False, required=False).active
    assert authority(required=False).active


async def test_a_ticket_stands_for_the_caller_that_it_was_given_to() -> None:
    whom = authority(WEB)
    for credential in ("tr_web", token("alice", "chat subscribe:*", exp=1_700_000_060)):
        caller = await whom.by_credential(credential, "192.0.2.1")
        ticket, _ = whom.tickets.issue(PLACE[0], Behind.of(caller))
        assert whom.by_ticket(ticket, *PLACE, "192.0.2.1") == (caller, True)


async def test_a_ticket_ends_with_the_key_behind_it() -> None:
    caller = await authority(WEB).by_credential("tr_web", "x")
    ticket, _ = authority(WEB).tickets.issue(PLACE[0], Behind.of(caller))
    fewer = replace(WEB, grants=Grants())
    assert authority(fewer).by_ticket(ticket, *PLACE, "x")[0].grants == Grants()
    with pytest.raises(CredentialRefused, match="not accepted any more"):
        authority().by_ticket(ticket, *PLACE, "x")


def test_a_ticket_of_nobody_is_worth_nothing_where_somebody_is_needed() -> None:
    nobody = anyone_at("192.0.2.1")
    ticket, _ = authority(required=False).tickets.issue(PLACE[0], Behind.of(nobody))
    assert authority(required=False).by_ticket(ticket, *PLACE, "192.0.2.1") == (nobody, True)
    with pytest.raises(CredentialRefused):
        authority().by_ticket(ticket, *PLACE, "192.0.2.1")


async def test_a_session_is_the_caller_for_a_day_at_most_and_no_ticket() -> None:
    clock = FakeClock()
    whom = authority(WEB, clock=clock)
    caller = await whom.by_credential("tr_web", "x")
    session, seconds = whom.session(caller)
    assert seconds == 12 * 3600
    assert whom.by_session(session, "x") == replace(caller, expires=clock.time() + seconds)
    with pytest.raises(CredentialRefused):
        whom.by_ticket(session, *PLACE, "x")
    with pytest.raises(CredentialRefused):
        whom.by_session(whom.tickets.issue(PLACE[0], Behind.of(caller))[0], "x")
    clock.advance(seconds)
    with pytest.raises(CredentialRefused, match="ended"):
        whom.by_session(session, "x")


async def test_a_session_ends_with_the_token_behind_it() -> None:
    whom = authority()
    caller = await whom.by_credential(token("alice", exp=1_700_000_060), "x")
    assert whom.session(caller)[1] == 60


def test_no_admin_is_one_who_has_not_said_who_they_are() -> None:
    nobody = anyone_at("x")
    assert nobody.grants.may("admin")
    assert not nobody.is_admin
    assert Caller(owner="key:boss", name="key:boss", address="x", grants=Grants.parse(["admin"])).is_admin
