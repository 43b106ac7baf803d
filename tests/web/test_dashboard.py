"""The operations page over HTTP: who may have it, what it tells, and what can be done there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.backed import Backed, data_of, error_of
from tests.support.fleet import Fleet
from tests.support.identities import Guarded
from tests.support.operations import STREAM, watching
from tests.support.server import Server
from tests.support.upstream import Script

HTML = {"accept": "text/html,application/xhtml+xml"}
SLOW = Script(pieces=tuple(["word "] * 100), delay=0.1)
BROWSER = {"sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate"}


# Who may.


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with Guarded() as guarded:
        yield guarded


@pytest.mark.parametrize("name", ["web", "scraper", "reader"])
def test_whoever_is_no_admin_gets_nothing_where_credentials_are_required(guarded: Guarded, name: str) -> None:
    key = guarded.key(name)
    for method, path, body in [
        ("GET", "/dashboard", b""),
        ("GET", "/dashboard/events", b""),
        ("POST", "/dashboard/cancel", {"run": "x" * 22}),
        ("POST", "/dashboard/drain", {"instance": "x"}),
    ]:
        assert guarded.ask(method, path, key, body).status == 403, path
        assert guarded.ask(method, path, None, body).status == 401, path


def test_a_browser_without_the_right_is_shown_how_to_sign_in(guarded: Guarded) -> None:
    for status, headers in [(401, HTML), (403, HTML | guarded.key("web"))]:
        answer = guarded.ask("GET", "/dashboard", headers)
        assert answer.status == status
        assert b'id="sign-in"' in answer.body
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_an_admin_who_signed_in_has_the_page_and_its_figures(guarded: Guarded) -> None:
    signed_in = guarded.ask("POST", "/auth/session", guarded.key("boss"))
    cookie = {"cookie": signed_in.headers["set-cookie"].partition(";")[0], **BROWSER}
    page = guarded.ask("GET", "/dashboard", HTML | cookie)
    assert (page.status, b'id="streams"' in page.body) == (200, True)
    with watching(guarded.server, cookie) as reports:
        assert reports.until(lambda seen: seen.row(log="page"))["reader"] == "key:boss"


def test_pages_of_other_sites_can_neither_look_nor_order(guarded: Guarded) -> None:
    """Not those that CORS allows either: their users' keys are not theirs to order with."""
    elsewhere = guarded.key("boss") | {"sec-fetch-site": "cross-site", "origin": "https://app.example"}
    for method, path, body in [
        ("GET", "/dashboard/events", b""),
        ("POST", "/dashboard/cancel", {"run": "x" * 22}),
        ("POST", "/dashboard/drain", {"instance": "x"}),
    ]:
        assert guarded.ask(method, path, elsewhere, body).status == 403, path


def test_an_admin_cancels_what_is_another_callers(guarded: Guarded) -> None:
    body = {"message": "Tell me about mills in 3000 words"}
    with guarded.server.open("POST", "/api/chat", guarded.key("web"), body) as raw:
        run = data_of(raw.event())["run"]
        answer = guarded.ask("POST", "/dashboard/cancel", guarded.key("boss"), {"run": run})
        assert (answer.status, answer.json()) == (200, {"run": run, "status": "cancelled"})
        assert error_of(raw.rest())["type"] == "caller_cancelled"


def test_where_nobody_has_to_say_who_they_are_what_a_key_started_stays_its_own() -> None:
    with Guarded(required=False) as guarded:
        body = {"message": "Tell me about mills in 3000 words"}
        with guarded.server.open("POST", "/api/chat", guarded.key("web"), body) as raw:
            run = data_of(raw.event())["run"]
            assert guarded.ask("POST", "/dashboard/cancel", None, {"run": run[:10]}).status == 404
            assert guarded.ask("POST", "/dashboard/cancel", guarded.key("boss"), {"run": run[:10]}).status == 200


# What it tells.


def test_it_tells_of_each_stream_who_reads_what(backed: Backed) -> None:
    backed.up.script(SLOW)
    with (
        backed.ask("Hi") as asked,
        backed.server.open("GET", "/events/news", STREAM),
        backed.server.open("GET", "/events?channel=a&channel=b", STREAM),
        watching(backed.server) as reports,
    ):
        run = data_of(asked.event())["run"]
        row = reports.until(lambda seen: seen.row(log="run", name=run[:10]))
        assert run not in str(reports.newest), "the whole id is the right to the answer"
        assert (row["model"], row["dialect"], row["reader"]) == ("claude-test", "native", "ip:127.0.0.1")
        assert reports.row(log="channel", name="news", dialect="events", records=0, bytes=0)
        assert reports.row(log="channels", name="a, b")
        assert (reports.here["streams"], reports.here["runs"], reports.here["store"]["kind"]) == (4, 1, "memory")
        assert reports.here["status"] == "healthy"
        answer = backed.server.ask("POST", "/dashboard/cancel", None, {"run": row["name"]})
        assert answer.json()["status"] == "cancelled"
        assert error_of(asked.rest())["type"] == "caller_cancelled"


def test_rates_are_told_from_the_second_look_on(backed: Backed) -> None:
    backed.up.script(SLOW)
    with backed.ask("Hi") as asked, watching(backed.server) as reports:
        assert reports.until(lambda seen: seen.here["rates"].get("tokens"))
        assert reports.here["rates"]["cpu"] is not None
        backed.server.ask("POST", "/dashboard/cancel", None, {"run": data_of(asked.event())["run"]})


def test_a_page_that_comes_back_goes_on_where_it_was(backed: Backed) -> None:
    with backed.server.open("GET", "/dashboard/events", STREAM) as raw:
        _, seen = raw.events(2)
    with backed.server.open("GET", "/dashboard/events", {**STREAM, "last-event-id": seen.id}) as raw:
        ready, report = raw.events(2)
    assert data_of(ready)["reports"] == []
    assert report.id.partition("-")[0] == seen.id.partition("-")[0]
    assert int(report.id.partition("-")[2]) == int(seen.id.partition("-")[2]) + 1


# What can be done.


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("cancel", {"run": "nobody"}, 404),
        ("cancel", {"run": "x" * 10}, 404),
        ("cancel", {"run": ""}, 422),
        ("cancel", {"run": "x", "and": 1}, 422),
        ("cancel", b"{", 400),
        ("drain", {"instance": "nobody"}, 404),
        ("drain", {}, 422),
    ],
)
def test_an_order_that_means_nothing_is_refused(backed: Backed, path: str, body: object, status: int) -> None:
    assert backed.server.ask("POST", f"/dashboard/{path}", None, body).status == status


def test_head_has_no_stream(backed: Backed) -> None:
    assert backed.server.ask("HEAD", "/dashboard/events").status == 405


def test_a_process_that_is_drained_leaves_as_on_sigterm() -> None:
    with Server() as server, watching(server) as reports:
        name = reports.ready["here"]
        answer = server.ask("POST", "/dashboard/drain", None, {"instance": name})
        assert (answer.status, answer.json()["status"]) == (202, "asked")
        assert server.wait() == 0


# Several instances.


def test_one_page_speaks_for_all_instances_and_orders_any_of_them() -> None:
    with Fleet() as fleet:
        a, b = fleet.instances
        with fleet.ask(b, "long") as (run, raw, _), watching(a) as reports:
            row = reports.until(lambda seen: seen.row(log="run", name=run[:10]))
            assert row["instance"] != reports.ready["here"]
            others = reports.until(lambda seen: seen.here["others"])
            assert others == [row["instance"]]

            assert a.ask("POST", "/dashboard/cancel", None, {"run": row["name"]}).status == 202
            assert error_of(raw.rest())["type"] == "caller_cancelled"

            assert a.ask("POST", "/dashboard/drain", None, {"instance": row["instance"]}).status == 202
            assert b.wait() == 0
            assert a.health()["status"] == "healthy"


def test_while_the_store_is_away_the_page_shows_what_is_here() -> None:
    with Fleet(1) as fleet:
        (a,) = fleet.instances
        fleet.redis.freeze()
        try:
            with watching(a) as reports:
                assert reports.until(lambda seen: seen.here["store"].get("failing_since"))
                assert a.ask("POST", "/dashboard/cancel", None, {"run": "x" * 10}).status == 503
        finally:
            fleet.redis.thaw()


def test_nothing_is_said_before_anybody_looks() -> None:
    with Fleet() as fleet:
        log = "tailrace:{tailrace:operations}:head"
        assert fleet.redis.command("EXISTS", log) == 0
        with watching(fleet.instances[0]) as reports:
            reports.until(lambda seen: len(seen.newest) == 2)
        assert fleet.redis.command("EXISTS", log) == 1
