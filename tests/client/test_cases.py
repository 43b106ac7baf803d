"""The shared table of client cases, `cases.json`: what every client of Tailrace does, the JavaScript one too."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tailrace.client import AsyncClient, Client, Gap, Message, Notice, Patience, Reconnecting
from tailrace.client.channels import Subscription
from tailrace.client.session import Session
from tailrace.errors import RequestRefused, RunError, TailraceError, Unreachable
from tests.support.scripted import Ending, Reply, ScriptedServer, Seen

TABLE: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parent / "cases.json").read_text(encoding="utf-8"))
PATIENCE = Patience(first=0.001, longest=30, jitter=0.5)

Case = dict[str, Any]
Got = dict[str, Any]


def named(cases: Iterable[Case]) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in cases]


def bytes_of(piece: str | dict[str, str]) -> bytes:
    return piece.encode() if isinstance(piece, str) else base64.b64decode(piece["base64"])


def parsed(chunks: Iterable[bytes]) -> Got:
    session = Session(Subscription("http://x/events/a"), patience=Patience(first=0.5), random=lambda: 0.0)
    session.next_request()
    session.answered(200, {"content-type": "text/event-stream"})
    events = [[each.event, each.data, each.id] for chunk in chunks for each in session.receive(chunk)]
    cursor, first = session.cursor, session.patience.first
    session.lost("the end")
    retry = None if session.delay == first else round(session.delay * 1000)
    return {"events": events, "last_event_id": cursor, "retry": retry}


@pytest.mark.parametrize("case", named(TABLE["parsing"]))
def test_a_body_is_read_alike_however_it_is_cut(case: Case) -> None:
    pieces = [bytes_of(piece) for piece in case["chunks"]]
    whole = b"".join(pieces)
    expected = {name: case[name] for name in ("events", "last_event_id", "retry")}
    for chunks in (pieces, [whole], cut(whole, 1), cut(whole, 2)):
        assert parsed(chunks) == expected


def cut(body: bytes, size: int) -> Sequence[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


# What each client does, and what came of it.


def shown(event: Message) -> list[Any]:
    if isinstance(event, Gap):
        return ["gap", {"missed": event.missed, "reason": event.reason}]
    return [event.event, event.data, event.id]


def blocking(url: str, case: Case, watch: Callable[[Notice], None]) -> Got:
    got: Got = {"events": [], "text": "", "error": None}
    with Client(url, patience=PATIENCE, sleep=lambda _: None) as client:
        try:
            if case["do"] == "subscribe":
                events = client.subscribe("a", watch=watch, **begun(case))
                got["events"].extend(map(shown, events))
            else:
                answer = ask(client, case, watch)
                for _ in answer:
                    got["text"] = answer.text
                got |= {"text": answer.text, "finish": answer.finish}
        except TailraceError as error:
            got["error"] = error
    return got


def awaited(url: str, case: Case, watch: Callable[[Notice], None]) -> Got:
    async def scenario() -> Got:
        got: Got = {"events": [], "text": "", "error": None}
        async with AsyncClient(url, patience=PATIENCE, sleep=lambda _: asyncio.sleep(0)) as client:
            try:
                if case["do"] == "subscribe":
                    async for event in client.subscribe("a", watch=watch, **begun(case)):
                        got["events"].append(shown(event))
                else:
                    answer = ask(client, case, watch)
                    async for _ in answer:
                        got["text"] = answer.text
                    got |= {"text": answer.text, "finish": answer.finish}
            except TailraceError as error:
                got["error"] = error
        return got

    return asyncio.run(scenario())


def begun(case: Case) -> dict[str, Any]:
    return {"attempts": case.get("attempts"), "last_event_id": case.get("last_event_id")}


def ask(client: Any, case: Case, watch: Callable[[Notice], None]) -> Any:
    if case["do"] == "chat":
        return client.chat(case["message"], attempts=case.get("attempts"), watch=watch)
    return client.attach(case["run"], watch=watch, **begun(case))


def reply(told: Case) -> Reply:
    chunks = tuple(bytes_of(chunk) for chunk in told["chunks"]) if "chunks" in told else None
    ending: Ending = told.get("then", "end") if told["status"] else "cut"
    return Reply(told["status"], told.get("headers", {}), bytes_of(told.get("body", "")), chunks, ending)


def outcome(error: TailraceError | None) -> Any:
    if isinstance(error, RequestRefused):
        return {"status": error.status, "code": error.code}
    if isinstance(error, RunError):
        return {"run_error": str(error.type), "retryable": error.retryable}
    if isinstance(error, Unreachable):
        return "unreachable"
    assert error is None, error
    return "ended"


@pytest.mark.parametrize("client", [blocking, awaited], ids=["sync", "aio"])
@pytest.mark.parametrize("case", named(TABLE["clients"]))
def test_both_clients_do_what_every_client_must(client: Callable[..., Got], case: Case) -> None:
    notices: list[Notice] = []
    with ScriptedServer(*map(reply, case["server"])) as server:
        got = client(server.url, case, notices.append)
    ended = outcome(got["error"])
    assert ended == (case["outcome"] if isinstance(case["outcome"], str) else {**ended, **case["outcome"]})
    if "events" in case:
        assert got["events"] == [each[:2] if each[0] == "gap" else each for each in case["events"]]
    if "text" in case:
        assert got["text"] == case["text"]
    if "finish_reason" in case:
        assert got["finish"].finish_reason == case["finish_reason"]
    check_requests(server.seen, case)
    waits = [notice.delay * 1000 for notice in notices if isinstance(notice, Reconnecting)]
    for wait, (least, most) in zip(waits, case.get("waits", []), strict=False):
        assert least <= round(wait, 6) <= most
    assert len(waits) >= len(case.get("waits", []))


def check_requests(seen: list[Seen], case: Case) -> None:
    expected: list[Case] | None = case.get("requests")
    if expected is None:
        # Whoever stops at the error of a run does not ask for the `done` after it.
        stops = isinstance(case["outcome"], dict) and "run_error" in case["outcome"]
        assert len(seen) == len(case["server"]) or (stops and len(seen) < len(case["server"]))
        return
    assert [(each.method, each.target) for each in seen] == [(each["method"], each["path"]) for each in expected]
    for one, wanted in zip(seen, expected, strict=True):
        assert {name: one.headers.get(name) for name in wanted["headers"]} == wanted["headers"]
        if "body" in wanted:
            assert json.loads(one.body) == wanted["body"]
    keys = {each.headers.get("idempotency-key") for each in seen if each.method == "POST"}
    assert len(keys) <= 1
    assert None not in keys
