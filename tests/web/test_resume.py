"""Whatever a reader does, over HTTP: drops and returns at any place give exactly the log (the first invariant)."""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.sse import Event
from tests.support.backed import Backed, data_of, verdict_of
from tests.support.upstream import Script

_numbers = count()
WORDS = st.lists(st.text("ab\n\r\u2028é😀", min_size=1, max_size=4), min_size=1, max_size=12)
READS = st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["get", "post", "attach", "query"])), max_size=5)
# One server serves all examples, as it serves all clients.
SHARED = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SHARED
@given(WORDS, READS)
def test_any_drops_and_returns_of_a_runs_reader_give_the_whole_run_and_ask_the_upstream_once(
    backed: Backed, words: list[str], reads: list[tuple[int, str]]
) -> None:
    backed.forget()
    backed.up.script(Script(pieces=tuple(words)))
    key = f"resume {next(_numbers)}"
    got: list[Event] = []
    run = ""
    for most, how in [*reads, (1000, "post")]:
        if got and got[-1].event == "done":
            break
        cursor = {"last-event-id": got[-1].id} if got else {}
        with connected(backed, how if got else "post", key, run, cursor) as raw:
            if cursor:
                assert verdict_of(raw.event()) == (True, "ok", 0)
            got += raw.events(min(most, len(words) + 3 - len(got)))
        run = data_of(got[0])["run"] if got else ""
    with backed.attach(run) as raw:
        assert got == raw.rest()
    assert [data_of(event)["text"] for event in got if event.event == "message"] == words
    assert len(backed.seen) == 1


def connected(backed: Backed, how: str, key: str, run: str, cursor: dict[str, str]) -> Any:
    match how:
        case "get":
            return backed.get(cursor, message="Hi", key=key)
        case "attach":
            return backed.attach(run, cursor["last-event-id"])
        case "query":
            return backed.attach(run, None, f"?last_event_id={cursor['last-event-id']}")
        case _:
            return backed.ask("Hi", {"idempotency-key": key, **cursor})


STEPS = st.lists(
    st.tuples(st.just("publish"), st.lists(st.sampled_from("ab"), max_size=5))
    | st.tuples(st.just("read"), st.integers(0, 8))
    | st.tuples(st.just("drop"), st.just(0)),
    max_size=12,
)


@SHARED
@given(STEPS, st.sampled_from(["", "?event=a", "?event=a&event=b"]))
def test_any_drops_and_returns_of_a_channels_reader_give_every_event_that_its_filter_shows(
    backed: Backed, steps: list[tuple[str, Any]], query: str
) -> None:
    channel = f"resume{next(_numbers)}"
    shown = set("ab") if query != "?event=a" else set("a")
    published: list[tuple[str, str]] = []
    got: list[tuple[str, str]] = []
    raw = backed.server.connect()
    try:
        raw.request("GET", f"/events/{channel}{query}")
        raw.head()
        cursor = raw.event().id
        for step, what in [*steps, ("drop", 0), ("read", 1000)]:
            if step == "publish":
                published += [(backed.server.publish(channel, name, event=name), name) for name in what]
            elif step == "drop":
                raw.close()
                raw = backed.server.connect()
                raw.request("GET", f"/events/{channel}{query}", {"last-event-id": cursor})
                raw.head()
                assert verdict_of(raw.event()) == (True, "ok", 0)
            else:
                visible = [event for event in published if event[1] in shown]
                for event in raw.events(min(what, len(visible) - len(got))):
                    got.append((event.id, event.event))
                    cursor = event.id
    finally:
        raw.close()
    assert got == [event for event in published if event[1] in shown]
