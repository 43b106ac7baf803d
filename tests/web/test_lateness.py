"""A ticket after its minute: good for who comes back for a stream that it opened, and for nobody else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from hashlib import sha256

import pytest

from tailrace.access.authority import Authority
from tailrace.access.grants import Grants
from tailrace.access.keys import ApiKey, ApiKeys
from tailrace.access.tokens import FixedKey, Tokens
from tailrace.chat.gateway import Gateway
from tailrace.chat.providers.base import ProviderOptions
from tailrace.errors import StoreUnavailable
from tailrace.facade import Tailrace
from tailrace.testing import FakeClock, Harness
from tailrace.web import WebOptions, create_app
from tests.support.identities import SECRET, STREAM, bearer, token

pytestmark = pytest.mark.anyio

SCOPES = ["chat", "subscribe:*", "publish:*"]
WEB = bearer("tr_web")


class Case:
    """The ready server's application, on a clock that moves when told, and who calls it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        keys = [
            ApiKey(name=name, digest=sha256(f"tr_{name}".encode()).digest(), grants=Grants.parse(SCOPES))
            for name in ("web", "other")
        ]
        tokens = Tokens("HS256", FixedKey(SECRET.encode()), clock=self.clock)
        authority = Authority(b"secret", ApiKeys(keys), tokens, required=True, clock=self.clock)
        gateway = Gateway.build([ProviderOptions(name="demo", kind="demo")], [], "demo/demo")
        self.tail = Tailrace(clock=self.clock)
        self.harness = Harness(create_app(self.tail, gateway, WebOptions(), authority=authority))

    async def ticket(self, who: Mapping[str, str], wanted: Mapping[str, object]) -> str:
        answer = await self.harness.ask("POST", "/auth/ticket", headers=who, body=json.dumps(wanted).encode())
        assert answer.status == 200, answer.body
        return str(json.loads(answer.body)["ticket"])

    async def status(self, target: str, cursor: str | None = None) -> int:
        headers = STREAM | ({"last-event-id": cursor} if cursor is not None else {})
        async with self.harness.stream("GET", target, headers=headers) as answer:
            return answer.status

    async def first_id(self, target: str, who: Mapping[str, str] | None = None) -> str:
        async with self.harness.stream("GET", target, headers={**STREAM, **(who or {})}) as answer:
            return (await answer.event()).id


@pytest.fixture
async def case() -> AsyncIterator[Case]:
    made = Case()
    async with made.harness:
        yield made


async def test_a_reader_of_a_channel_comes_back_with_its_ticket_for_as_long_as_the_key_is_good(case: Case) -> None:
    target = f"/events/news?ticket={await case.ticket(WEB, {'path': '/events/news'})}"
    cursor = await case.first_id(target)
    case.clock.advance(30 * 86_400)
    assert await case.status(target, cursor) == 200
    assert await case.status(f"{target}&last_event_id={cursor}") == 200


async def test_a_ticket_from_a_log_opens_nothing_after_its_minute(case: Case) -> None:
    target = f"/events/news?ticket={await case.ticket(WEB, {'path': '/events/news'})}"
    elsewhere = await case.first_id("/events/other", WEB)
    assert await case.status(target) == 200
    case.clock.advance(60)
    for cursor in (None, "", "x", "x-1", "news-1", elsewhere, f"{elsewhere}0"):
        assert await case.status(target, cursor) == 401


async def test_an_asker_comes_back_for_its_answer_and_for_no_other(case: Case) -> None:
    path = "/api/chat?message=Hi"
    target = f"{path}&ticket={await case.ticket(WEB, {'path': path})}"
    cursor = await case.first_id(target)
    theirs = await case.first_id(path, bearer("tr_other"))
    case.clock.advance(3600)
    assert await case.status(target, cursor) == 200
    for other in (None, theirs, "x-1", cursor.rpartition("-")[0]):
        assert await case.status(target, other) == 401


async def test_a_watcher_comes_back_for_the_run_that_was_shared(case: Case) -> None:
    cursor = await case.first_id("/api/chat?message=Hi", WEB)
    other = await case.first_id("/api/chat?message=Hi", WEB)
    run = cursor.rpartition("-")[0]
    for wanted in ({"run": run, "share": True}, {"path": f"/api/chat/{run}"}):
        target = f"/api/chat/{run}?ticket={await case.ticket(WEB, wanted)}"
        assert await case.status(target) == 200
        case.clock.advance(3600)
        assert await case.status(target, cursor) == 200
        assert await case.status(target) == 401
        assert await case.status(target, other) == 401


async def test_no_cursor_outlives_the_token_behind_a_ticket(case: Case) -> None:
    who = bearer(token("alice", "chat subscribe:*", exp=int(case.clock.time()) + 120))
    target = f"/events/news?ticket={await case.ticket(who, {'path': '/events/news'})}"
    cursor = await case.first_id(target)
    case.clock.advance(119)
    assert await case.status(target, cursor) == 200
    case.clock.advance(1)
    assert await case.status(target, cursor) == 401


async def test_a_late_ticket_is_of_no_use_where_nothing_is_read_on(case: Case) -> None:
    ticket = await case.ticket(WEB, {"path": "/v1/models"})
    cursor = await case.first_id("/events/news", WEB)
    assert await case.status(f"/v1/models?ticket={ticket}") == 200
    case.clock.advance(60)
    assert await case.status(f"/v1/models?ticket={ticket}", cursor) == 401


async def test_a_dropped_history_takes_late_tickets_with_it(case: Case) -> None:
    target = f"/events/news?ticket={await case.ticket(WEB, {'path': '/events/news'})}"
    cursor = await case.first_id(target)
    await case.harness.ask("DELETE", "/events/news", headers=WEB)
    assert await case.status(target, cursor) == 200
    case.clock.advance(60)
    assert await case.status(target, cursor) == 401


async def test_while_the_store_is_away_a_late_ticket_is_told_to_come_back(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> bool:
        raise StoreUnavailable("away")

    target = f"/events/news?ticket={await case.ticket(WEB, {'path': '/events/news'})}"
    cursor = await case.first_id(target)
    case.clock.advance(60)
    monkeypatch.setattr(case.tail.channels, "is_of", away)
    async with case.harness.stream("GET", target, headers={**STREAM, "last-event-id": cursor}) as answer:
        (event,) = await answer.rest()
    assert (answer.status, event.event, event.data) == (200, "reconnect", '{"reason":"unavailable"}')
