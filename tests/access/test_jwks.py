"""Keys that an issuer publishes: fetched from a real server, rotated, and kept while it is away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import jwt
import pytest

from tailrace.access.jwks import PublishedKeys
from tailrace.access.refusals import CannotTell, CredentialRefused
from tailrace.access.tokens import Tokens
from tailrace.testing import FakeClock
from tests.support.issuer import KEYS, Issuer, published

pytestmark = pytest.mark.anyio


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as running:
        yield running


class Case:
    """A reader of tokens whose keys are the issuer's, and time that moves when told."""

    def __init__(self, issuer: Issuer) -> None:
        self.clock = FakeClock()
        self.keys = PublishedKeys(issuer.url, "RS256", clock=self.clock)
        self.tokens = Tokens("RS256", self.keys, clock=self.clock)

    async def subject(self, kid: str | None, key: str | None = None) -> str:
        claims = {"sub": "alice", "exp": self.clock.time() + 60}
        header = {"kid": kid} if kid is not None else None
        return (await self.tokens.read(jwt.encode(claims, KEYS[key or kid or "old"], "RS256", header))).subject


async def test_keys_are_fetched_once_for_all_who_come_meanwhile(issuer: Issuer) -> None:
    case = Case(issuer)
    assert await asyncio.gather(*[case.subject("old") for _ in range(20)]) == ["alice"] * 20
    assert issuer.asked == 1


async def test_a_new_key_is_fetched_when_a_token_names_it_and_the_old_one_is_over(issuer: Issuer) -> None:
    case = Case(issuer)
    await case.subject("old")
    issuer.body = published("new")
    assert await case.subject("new") == "alice"
    with pytest.raises(CredentialRefused, match="no key of its issuer"):
        await case.subject("old")


async def test_names_that_are_made_up_do_not_have_the_issuer_asked_again_and_again(issuer: Issuer) -> None:
    case = Case(issuer)
    for number in range(50):
        with pytest.raises(CredentialRefused):
            await case.subject(f"kid-{number}", "new")
    assert issuer.asked == 5
    case.clock.advance(5)
    with pytest.raises(CredentialRefused):
        await case.subject("one more", "new")
    assert issuer.asked == 6
    assert await case.subject("old") == "alice"


async def test_a_name_does_not_make_a_signature(issuer: Issuer) -> None:
    with pytest.raises(CredentialRefused, match="Signature"):
        await Case(issuer).subject("old", "new")


async def test_keys_stay_while_their_url_is_away_and_are_looked_at_again_after_a_while(issuer: Issuer) -> None:
    case = Case(issuer)
    await case.subject("old")
    issuer.status = 503
    case.clock.advance(301)
    assert await case.subject("old") == "alice"
    assert case.keys._fetching is not None  # beside the request, which does not wait for it
    await case.keys._fetching
    assert issuer.asked == 2
    assert await case.subject("old") == "alice"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b""),
        (302, b""),
        (200, b"nonsense"),
        (200, b"[]"),
        (200, b'{"keys": {}}'),
        (200, b'{"keys": [7, {}, {"kty": "RSA"}, {"kty": "oct", "k": "AAAA", "kid": "old"}]}'),
        (200, published("old", use="enc")),
        (200, published("old", alg="RS512")),
        (200, published("old", kid=7)),
        (200, b" " * 300_000 + published("old")),
        (200, b"[" * 100_000),
    ],
)
async def test_without_keys_nobody_can_tell_who_it_is(issuer: Issuer, status: int, body: bytes) -> None:
    issuer.status, issuer.body = status, body
    with pytest.raises(CannotTell) as unknown:
        await Case(issuer).subject("old")
    assert unknown.value.retry_after > 0


async def test_a_token_that_names_no_key_means_the_only_one(issuer: Issuer) -> None:
    assert await Case(issuer).subject(None) == "alice"
    issuer.body = published("old", "new")
    with pytest.raises(CredentialRefused):
        await Case(issuer).subject(None)


async def test_a_request_that_is_given_up_does_not_take_the_others_answer_with_it(issuer: Issuer) -> None:
    case = Case(issuer)
    first = asyncio.create_task(case.subject("old"))
    await asyncio.sleep(0)
    second = asyncio.create_task(case.subject("old"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "alice"
    assert issuer.asked == 1
