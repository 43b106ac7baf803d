"""Who is let in and who is not, in one process and in several that share their books."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.access.limits.account import Account, Asked
from tailrace.access.limits.limiter import Admission, Limiter
from tailrace.access.limits.options import LimitOptions, Limits
from tailrace.access.limits.refused import Reason, Refused
from tailrace.observe import Counters
from tailrace.testing import FakeClock
from tests.support.books import Books
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


class Door:
    """A limiter, with its clock and its counters."""

    def __init__(self, books: Books | None = None, clock: FakeClock | None = None, **options: object) -> None:
        self.clock = clock or FakeClock()
        self.meter = Counters()
        bounds = {name: options.pop(name) for name in ("fail",) if name in options}
        said = LimitOptions(caller=Limits(**options), **bounds)  # type: ignore[arg-type]  # the test's own words
        teller = None if books is None else books.instance()
        self.limiter = Limiter(said, teller, self.meter, self.clock)

    @property
    def streams(self) -> int:
        """Places that are taken."""
        return sum([account.streams for account in self.limiter._accounts.values()])

    def account(self, name: str = "key:a", own: Limits | None = None) -> Account:
        return self.limiter.account(name, own)

    async def ask(self, name: str = "key:a", asked: Asked = Asked.REQUEST, own: Limits | None = None) -> Admission:
        return await self.limiter.admit(self.account(name, own), asked)

    async def stream(self, name: str = "key:a", asked: Asked = Asked.REQUEST) -> Admission:
        return await self.limiter.admit(self.account(name), asked, streaming=True)

    async def start(self, name: str = "key:a") -> Admission:
        return await self.limiter.admit(self.account(name), Asked.REQUEST, streaming=True, starting=True)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def books(clock: FakeClock) -> Books:
    return Books(clock)


@pytest.fixture(params=["alone", "shared"])
def shared(request: pytest.FixtureRequest, books: Books) -> Books | None:
    """What limits are kept in: what holds for one holds for the other."""
    return books if request.param == "shared" else None


class TestRequests:
    """So many a minute, all at once if need be."""

    async def test_a_caller_who_asks_too_often_is_told_when_to_come_again(
        self, shared: Books | None, clock: FakeClock
    ) -> None:
        door = Door(shared, clock, requests_per_minute=3)
        for _ in range(3):
            await door.ask()
        with pytest.raises(Refused) as refused:
            await door.ask()
        assert refused.value.reason is Reason.REQUESTS
        assert refused.value.retry_after == pytest.approx(20)
        clock.advance(20)
        await door.ask()
        assert door.meter.sum("limits.hit", "requests") == 1

    async def test_callers_do_not_use_up_each_others(self, shared: Books | None, clock: FakeClock) -> None:
        door = Door(shared, clock, requests_per_minute=1)
        for name in ("key:a", "sub:a", "ip:a"):
            await door.ask(name)

    async def test_resumes_have_ten_times_as_many_of_their_own(self, shared: Books | None, clock: FakeClock) -> None:
        door = Door(shared, clock, requests_per_minute=2)
        await door.ask()
        await door.ask()
        for _ in range(20):
            await door.ask(asked=Asked.RESUME)
        for asked in Asked:
            with pytest.raises(Refused):
                await door.ask(asked=asked)

    async def test_a_refused_request_uses_nothing_up(self, shared: Books | None, clock: FakeClock) -> None:
        door = Door(shared, clock, requests_per_minute=6, concurrent_streams=1)
        await door.stream()
        for _ in range(9):
            with pytest.raises(Refused):
                await door.stream()
        assert (await door.ask()).standing is not None

    async def test_a_keys_own_limits_stand_above_those_of_all_and_0_lifts_one(
        self, shared: Books | None, clock: FakeClock
    ) -> None:
        door = Door(shared, clock, requests_per_minute=1, concurrent_streams=1)
        own = Limits(requests_per_minute=0)
        for _ in range(5):
            await door.ask("key:b", own=own)
        assert door.account("key:b").most == 1


class TestStreams:
    """So many at a time, whatever becomes of them."""

    async def test_one_too_many_is_refused_until_another_is_over(self, shared: Books | None, clock: FakeClock) -> None:
        door = Door(shared, clock, concurrent_streams=2)
        first, _ = await door.stream(), await door.stream()
        with pytest.raises(Refused) as refused:
            await door.stream()
        assert refused.value.reason is Reason.STREAMS
        assert first.place is not None
        first.place.give_back()
        await door.stream()

    async def test_what_is_no_stream_needs_no_place(self, shared: Books | None, clock: FakeClock) -> None:
        door = Door(shared, clock, concurrent_streams=1)
        await door.stream()
        assert (await door.ask()).place is None

    async def test_who_comes_back_may_stand_beside_the_connection_that_was_lost(
        self, shared: Books | None, clock: FakeClock
    ) -> None:
        door = Door(shared, clock, concurrent_streams=1)
        await door.stream()
        await door.stream(asked=Asked.RESUME)
        for asked in Asked:
            with pytest.raises(Refused):
                await door.stream(asked=asked)

    async def test_of_two_who_ask_at_once_for_the_last_place_one_is_let_in(
        self, shared: Books | None, clock: FakeClock
    ) -> None:
        door = Door(shared, clock, concurrent_streams=1)
        answers = await asyncio.gather(*[door.stream() for _ in range(5)], return_exceptions=True)
        assert sum([isinstance(answer, Admission) for answer in answers]) == 1
        assert door.account().streams == 1

    async def test_streams_of_all_instances_count(self, books: Books, clock: FakeClock) -> None:
        here, there = Door(books, clock, concurrent_streams=2), Door(books, clock, concurrent_streams=2)
        await here.stream()
        elsewhere = await there.stream()
        for door in (here, there):
            with pytest.raises(Refused):
                await door.stream()
        assert elsewhere.place is not None
        elsewhere.place.give_back()
        await eventually(lambda: books.streams("key:a") == 1)
        await here.stream()

    async def test_a_stream_that_lasts_is_told_of_again_before_it_is_forgotten(
        self, books: Books, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tailrace.access.limits.sharing._TICK", 0.001)
        door = Door(books, clock, concurrent_streams=2)
        await door.stream()
        for _ in range(9):
            clock.advance(10.5)
            asked = books.asked
            await eventually(lambda asked=asked: books.asked > asked)  # type: ignore[misc]
            await eventually(lambda: books.streams("key:a") == 1)
        door.limiter.close()

    async def test_a_refusal_is_one_call_and_tells_nothing_twice(self, books: Books, clock: FakeClock) -> None:
        door = Door(books, clock, concurrent_streams=1)
        await door.stream()
        asked = books.asked
        with pytest.raises(Refused):
            await door.stream()
        for _ in range(10):
            await asyncio.sleep(0)
        assert books.asked == asked + 1

    async def test_many_that_end_at_once_are_told_together(self, books: Books, clock: FakeClock) -> None:
        door = Door(books, clock, concurrent_streams=9)
        admitted = [await door.stream(f"key:{number}") for number in range(300)]
        asked = books.asked
        for each in admitted:
            assert each.place is not None
            each.place.give_back()
        await eventually(lambda: not any(books.streams(name) for name in books.pages))
        assert books.asked - asked <= 3


steps = st.lists(
    st.tuples(
        st.sampled_from(["open", "close", "cancel", "keep", "leave", "away", "back", "tick"]),
        st.integers(0, 1),
        st.integers(0, 2),
    ),
    max_size=40,
)


class _History:
    """Streams that come and go on two instances, with whatever may happen meanwhile."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.books = Books(self.clock)
        self.doors = [Door(self.books, self.clock, concurrent_streams=2, requests_per_minute=50) for _ in range(2)]
        self.open: list[tuple[Door, Admission]] = []

    async def do(self, what: str, who: int, whom: int) -> None:
        door, name = self.doors[who], f"key:{whom}"
        if what == "open":
            with contextlib.suppress(Refused):
                self.open.append((door, await door.stream(name)))
        elif what == "cancel":
            asking = asyncio.create_task(door.stream(name))
            for _ in range(whom):
                await asyncio.sleep(0)
            asking.cancel()
            answer = (await asyncio.gather(asking, return_exceptions=True))[0]
            if isinstance(answer, Admission):
                self.open.append((door, answer))
        elif what in {"close", "keep", "leave"} and self.open:
            self._end(what, self.open.pop(whom % len(self.open)))
        elif what in {"away", "back"}:
            self.books.away = what == "away"
        elif what == "tick":
            self.clock.advance(4)

    def _end(self, what: str, stream: tuple[Door, Admission]) -> None:
        place = stream[1].place
        assert place is not None
        if what == "keep":
            give_back = place.keep()
            place.leave()
            give_back()
        elif what == "leave":
            place.leave()
        place.give_back()  # a second time nothing happens


@settings(max_examples=80, deadline=None)
@given(told=steps)
async def test_after_any_history_of_streams_nothing_is_left_of_them(told: list[tuple[str, int, int]]) -> None:
    history = _History()
    for step in told:
        await history.do(*step)
        for door in history.doors:
            held = sum([each is door for each, _ in history.open])
            assert door.streams == held
    for stream in history.open:
        history._end("close", stream)
    for door in history.doors:
        assert door.streams == 0
        assert all(door.account(f"key:{number}").streams == 0 for number in range(3))
    history.books.away = False
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tailrace.access.limits.sharing._TICK", 0.0)
        for door in history.doors:
            door.limiter._sharing._on_tick()  # type: ignore[union-attr]  # a second has passed
        async with asyncio.timeout(5):
            await eventually(lambda: not any(history.books.streams(name) for name in history.books.pages))
    for door in history.doors:
        door.limiter.close()


class TestTokens:
    """So many a minute, charged when they are used."""

    async def test_who_has_used_more_than_there_was_starts_nothing_until_it_is_paid(
        self, shared: Books | None, clock: FakeClock
    ) -> None:
        door = Door(shared, clock, tokens_per_minute=60)
        account = (await door.start()).account
        door.limiter.spend(account, 59)
        assert not door.limiter.is_overspent(account)
        await door.start()
        door.limiter.spend(account, 11)
        assert door.limiter.is_overspent(account)
        with pytest.raises(Refused) as refused:
            await door.start()
        assert refused.value.reason is Reason.TOKENS
        assert refused.value.retry_after == pytest.approx(11)
        clock.advance(11)
        await door.start()

    async def test_a_debt_stops_nothing_but_new_answers(self, shared: Books | None, clock: FakeClock) -> None:
        door = Door(shared, clock, tokens_per_minute=60)
        door.limiter.spend(door.account(), 500)
        await door.ask()
        await door.stream(asked=Asked.RESUME)
        with pytest.raises(Refused):
            await door.start()

    async def test_what_was_charged_too_much_is_given_back(self, shared: Books | None, clock: FakeClock) -> None:
        door = Door(shared, clock, tokens_per_minute=60)
        account = door.account()
        door.limiter.spend(account, 100)
        door.limiter.spend(account, -80)
        standing = (await door.start()).standing
        assert standing is not None
        assert standing.tokens == pytest.approx(20)

    async def test_what_is_used_here_counts_on_all_instances_within_a_second(
        self, books: Books, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tailrace.access.limits.sharing._TICK", 0.001)
        here, there = Door(books, clock, tokens_per_minute=60), Door(books, clock, tokens_per_minute=60)
        for _ in range(70):
            here.limiter.spend(here.account(), 1)
        await eventually(lambda: books.asked)
        assert books.asked == 1
        await asyncio.sleep(0)
        with pytest.raises(Refused) as refused:
            await there.start()
        assert refused.value.retry_after == pytest.approx(11)
        assert there.limiter.is_overspent(there.account())
        for door in (here, there):
            door.limiter.close()


class TestStoreAway:
    """What counts while nobody can say what the others know."""

    async def test_each_instance_counts_for_itself_and_goes_on_from_what_it_knew(
        self, books: Books, clock: FakeClock
    ) -> None:
        door = Door(books, clock, requests_per_minute=3)
        await door.ask()
        books.away = True
        await door.ask()
        await door.ask()
        with pytest.raises(Refused):
            await door.ask()
        assert door.limiter.degraded_since == clock.time()
        assert door.meter["limits.failed"] == 3

    async def test_open_lets_everybody_in(self, books: Books, clock: FakeClock) -> None:
        door = Door(books, clock, requests_per_minute=1, tokens_per_minute=1, fail="open")
        books.away = True
        for _ in range(5):
            assert (await door.start()).standing is None
        door.limiter.spend(door.account(), 100)
        assert not door.limiter.is_overspent(door.account())

    async def test_closed_lets_nobody_in_who_has_limits(self, books: Books, clock: FakeClock) -> None:
        door = Door(books, clock, requests_per_minute=9, fail="closed")
        books.away = True
        for _ in range(2):
            with pytest.raises(Refused) as refused:
                await door.stream()
            assert refused.value.reason is Reason.STORE
        assert door.streams == 0
        await door.ask("key:free", own=Limits(requests_per_minute=0))

    async def test_nobody_waits_for_a_store_that_is_known_to_be_away(self, books: Books, clock: FakeClock) -> None:
        door = Door(books, clock, requests_per_minute=9)
        books.away = True
        await door.ask()
        asked = books.asked
        for _ in range(3):
            await door.ask()
        assert books.asked == asked

    async def test_when_it_is_back_it_is_told_of_what_is_open_and_was_used(
        self, books: Books, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tailrace.access.limits.sharing._TICK", 0.001)
        door = Door(books, clock, concurrent_streams=5, tokens_per_minute=60)
        ending = await door.stream()
        books.away = True
        clock.advance(10.5)
        await eventually(lambda: door.limiter.degraded_since)
        await door.stream()
        await door.stream()
        door.limiter.spend(door.account(), 30)
        assert ending.place is not None
        ending.place.give_back()
        books.away = False
        await eventually(lambda: door.limiter.degraded_since is None)
        await eventually(lambda: books.streams("key:a") == 2)
        assert books.pages["key:a"].empty["tokens"] - clock.monotonic() == pytest.approx(30)
        door.limiter.close()

    async def test_an_end_that_could_not_be_told_is_told_later(
        self, books: Books, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tailrace.access.limits.sharing._TICK", 0.001)
        door = Door(books, clock, concurrent_streams=5)
        place = (await door.stream()).place
        books.away = True
        assert place is not None
        place.give_back()
        await eventually(lambda: door.limiter.degraded_since)
        assert books.streams("key:a") == 1
        books.away = False
        await eventually(lambda: books.streams("key:a") == 0)
        door.limiter.close()

    async def test_a_gauge_says_so(self, books: Books, clock: FakeClock) -> None:
        door = Door(books, clock, requests_per_minute=9)
        assert door.meter.snapshot().gauges["limits.degraded", ()] == 0
        books.away = True
        await door.ask()
        assert door.meter.snapshot().gauges["limits.degraded", ()] == 1


class TestMemory:
    """What is remembered of callers who came once."""

    async def test_a_caller_with_nothing_used_up_is_forgotten(self, clock: FakeClock) -> None:
        door = Door(None, clock, requests_per_minute=60)
        for number in range(1000):
            await door.ask(f"ip:{number}")
            clock.advance(0.1)
        assert len(door.limiter._accounts) < 40

    async def test_those_whose_streams_last_do_not_hide_those_who_can_be_forgotten(self, clock: FakeClock) -> None:
        door = Door(None, clock, requests_per_minute=60, concurrent_streams=1)
        for number in range(50):
            await door.stream(f"key:{number}")
            door.account(f"key:debtor {number}").unsaid = 1.0
        for number in range(500):
            await door.ask(f"ip:{number}")
            clock.advance(0.1)
        assert len(door.limiter._accounts) < 200
        assert all(door.account(f"key:{number}").streams == 1 for number in range(50))

    async def test_there_is_a_bound_however_many_come_at_once(
        self, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tailrace.access.limits.limiter._KEPT", 10)
        door = Door(None, clock, requests_per_minute=60)
        for number in range(100):
            await door.ask(f"ip:{number}")
        assert len(door.limiter._accounts) <= 11
