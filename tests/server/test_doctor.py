"""The doctor finds each fault of a real nginx that is set up wrongly on purpose, and names the line that mends it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from tailrace.client.doctor import MEGABYTES, Finding, Level, Report, Visit, examine
from tests.support.caddy import caddy_with
from tests.support.haproxy import haproxy_with
from tests.support.nginx import nginx, nginx_tls, nginx_with
from tests.support.ports import free_port
from tests.support.proxy import Address
from tests.support.scripted import Reply, ScriptedServer, stream
from tests.support.server import Server

ORIGIN = "https://app.example"

FAULTS: Mapping[str, tuple[Mapping[str, str], str, str]] = {
    # What is set, what is found, and the line that mends it.
    "buffering on": (
        {"proxy_ignore_headers": "X-Accel-Buffering", "proxy_buffering": "on"},
        "buffering",
        "proxy_buffering off;",
    ),
    "buffering on, with HTTP/1.0": (
        {"proxy_ignore_headers": "X-Accel-Buffering", "proxy_buffering": "on", "proxy_http_version": "1.0"},
        "buffering",
        "proxy_buffering off;",
    ),
    "gzip on": (
        {"gzip": "on", "gzip_types": "text/event-stream", "gzip_proxied": "any"},
        "compression",
        "gzip off;",
    ),
    "a timeout below the heartbeat": ({"proxy_read_timeout": "1s"}, "idle-timeout", "proxy_read_timeout 60s;"),
    "HTTP/1.0 upstream": ({"proxy_http_version": "1.0"}, "upstream-http", "proxy_http_version 1.1;"),
    "no Last-Event-ID": (
        {"proxy_set_header Last-Event-ID": '""'},
        "last-event-id",
        "proxy_set_header Last-Event-ID $http_last_event_id;",
    ),
    "no Idempotency-Key": (
        {"proxy_set_header Idempotency-Key": '""'},
        "idempotency-key",
        "proxy_set_header Idempotency-Key $http_idempotency_key;",
    ),
    "another Accept": ({"proxy_set_header Accept": '"*/*"'}, "accept", "proxy_set_header Accept $http_accept;"),
    "no Authorization": (
        {"proxy_set_header Authorization": '""'},
        "authorization",
        "proxy_set_header Authorization $http_authorization;",
    ),
    "no X-API-Key": (
        {"proxy_set_header X-API-Key": '""'},
        "x-api-key",
        "proxy_set_header X-API-Key $http_x_api_key;",
    ),
    "no Tailrace-Run": ({"proxy_hide_header": "Tailrace-Run"}, "tailrace-run", "proxy_pass_header Tailrace-Run;"),
    "no Cache-Control": ({"proxy_hide_header": "Cache-Control"}, "cache-control", "proxy_pass_header Cache-Control;"),
    "another Content-Type": (
        {"proxy_hide_header": "Content-Type", "add_header": "Content-Type text/plain"},
        "content-type",
        "proxy_pass_header Content-Type;",
    ),
    "no headers of ours": (
        {"proxy_hide_header": "Tailrace-Heartbeat"},
        "tailrace-heartbeat",
        "proxy_pass_header Tailrace-Heartbeat;",
    ),
    "no query": ({"rewrite": "^(.*)$ $1? break"}, "query", "proxy_pass http://tailrace;"),
    "a low limit for bodies": ({"client_max_body_size": "10k"}, "body-limit", "client_max_body_size 1m;"),
    "no CORS": (
        {"proxy_hide_header": "Access-Control-Allow-Origin"},
        "cors",
        "take out: proxy_hide_header Access-Control-*",
    ),
}
OTHERS: Mapping[str, tuple[Callable[[Address], AbstractContextManager[Address]], str, str, str]] = {
    # How it is set up, what is found, and the line that mends it for whom.
    "HAProxy as it comes": (haproxy_with, "buffering", "haproxy", "option http-no-delay"),
    "HAProxy with a timeout below the heartbeat": (
        lambda address: haproxy_with(address, "option http-no-delay", "timeout server 1s"),
        "idle-timeout",
        "haproxy",
        "timeout server 60s",
    ),
    "HAProxy without a header": (
        lambda address: haproxy_with(address, "option http-no-delay", rule="http-request del-header last-event-id"),
        "last-event-id",
        "haproxy",
        "take out: http-request del-header Last-Event-ID",
    ),
    "Caddy that buffers": (
        lambda address: caddy_with(address, "buffer_responses"),
        "buffering",
        "caddy",
        "take out: buffer_responses",
    ),
    "Caddy that compresses": (
        lambda address: caddy_with(address, beside="encode gzip"),
        "compression",
        "caddy",
        "@whole not path /api/* /events*",
    ),
    "Caddy with a timeout below the heartbeat": (
        lambda address: caddy_with(address, "transport http {\nread_timeout 1s\n}"),
        "idle-timeout",
        "caddy",
        "take out: read_timeout",
    ),
    "Caddy without a header": (
        lambda address: caddy_with(address, "header_down -Cache-Control"),
        "cache-control",
        "caddy",
        "take out: header_down, header for Cache-Control",
    ),
}
HINTS: Mapping[str, tuple[Mapping[str, str], str, str]] = {
    "another Host": ({"proxy_set_header Host": "inside"}, "host", "proxy_set_header Host $http_host;"),
    "a redirect": ({"return": "308 http://127.0.0.1:$usual$request_uri"}, "redirect", "give clients the URL http"),
}
CASES = {**FAULTS, **HINTS}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(f'[server]\ncors_origins = ["{ORIGIN}"]\n') as server:
        yield server


@pytest.fixture(scope="module")
def reports(server: Server) -> Iterator[dict[str, Report]]:
    """What is found in each case, examined at the same time; "" is an nginx that is set up as it should be."""
    with nginx([server.address]) as usual:
        ways = {
            name: {key: value.replace("$usual", str(usual[1])) for key, value in way.items()}
            for name, (way, _, _) in CASES.items()
        }
        with ExitStack() as stack:
            fronts = stack.enter_context(nginx_with(server.address, ways))
            fronts |= {name: stack.enter_context(way(server.address)) for name, (way, *_) in OTHERS.items()}
            visits = {name: visit_to(name, front) for name, front in {"": usual, **fronts}.items()}
            yield asyncio.run(examine_all(visits))


def visit_to(name: str, front: Address) -> Visit:
    """Megabytes are pressed only on those who should take them, and on one who should not."""
    flood = MEGABYTES if not name or name.startswith("buffering") else 0
    return Visit(f"http://{front[0]}:{front[1]}", origin=ORIGIN, quiet=2.5, flood=flood)


async def examine_all(visits: Mapping[str, Visit]) -> dict[str, Report]:
    """Examine all at once; then alone whoever does not look as expected: so many keep a small machine busy for
    seconds, and events that are late for that are not their proxy's doing."""
    reports = await asyncio.gather(*[examine(visit) for visit in visits.values()])
    found = dict(zip(visits, reports, strict=True))
    return {
        name: found[name] if set(bad(found[name])) == expected(name) else await examine(visit)
        for name, visit in visits.items()
    }


def expected(case: str) -> set[str]:
    if case in OTHERS:
        return {OTHERS[case][1]}
    if case not in FAULTS:
        return set()
    return {FAULTS[case][1]} | ({"upstream-http"} if case.endswith("with HTTP/1.0") else set())


def bad(report: Report, level: Level = Level.FAULT) -> dict[str, Finding]:
    return {finding.check: finding for finding in report.findings if finding.level is level}


def test_an_nginx_set_up_by_our_files_has_no_fault(reports: dict[str, Report]) -> None:
    assert bad(reports[""]) == {}
    assert reports[""].proxy == "nginx"


@pytest.mark.parametrize("case", FAULTS)
def test_each_fault_is_named_alone_with_the_line_that_mends_it(reports: dict[str, Report], case: str) -> None:
    found = bad(reports[case])
    _, check, line = FAULTS[case]
    assert set(found) == expected(case)
    assert any(each.startswith(line) for each in found[check].mend["nginx"]), found[check].mend


@pytest.mark.parametrize("case", OTHERS)
def test_so_is_each_fault_of_haproxy_and_caddy(reports: dict[str, Report], case: str) -> None:
    found = bad(reports[case])
    _, check, proxy, line = OTHERS[case]
    assert set(found) == expected(case)
    assert any(each.startswith(line) for each in found[check].mend[proxy]), found[check].mend
    # HAProxy says nothing of itself, so that its line is one among those for all.
    assert reports[case].proxy == (proxy if proxy == "caddy" else None)


@pytest.mark.parametrize("case", HINTS)
def test_what_only_costs_something_is_a_hint(reports: dict[str, Report], case: str) -> None:
    assert bad(reports[case]) == {}
    hint = bad(reports[case], Level.HINT)[HINTS[case][1]]
    assert any(line.startswith(HINTS[case][2]) for lines in hint.mend.values() for line in lines)


def doctor(*arguments: str, **env: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "tailrace", "doctor", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **env})
    return done.returncode, done.stdout, done.stderr


def test_a_fault_below_one_path_is_found_there(server: Server) -> None:
    """Proxies are set up by path: what is well for one may be wrong for another."""
    buffers = "proxy_http_version 1.0; proxy_ignore_headers X-Accel-Buffering; proxy_buffering on;"
    way = {"location /events": f"{{ proxy_pass http://127.0.0.1:{server.port}; {buffers} }}"}
    with nginx_with(server.address, {"uneven": way}) as fronts:
        url = f"http://127.0.0.1:{fronts['uneven'][1]}"
        report = asyncio.run(examine(Visit(url, quiet=0, flood=0)))
    found = bad(report)
    assert found.keys() == {"buffering", "upstream-http"}
    assert all(each.said.startswith("below /events: ") for each in found.values())


class TestTheCommand:
    def test_it_exits_0_without_faults_and_prints_what_it_looked_at(self, server: Server) -> None:
        code, out, err = doctor(server.url, "--quick")
        assert (code, err) == (0, "")
        first, *lines, last = out.splitlines()
        assert first.startswith(f"{server.url}: Tailrace ")
        assert last == "no faults"
        assert any(line.startswith("ok    buffering ") for line in lines)

    def test_it_exits_1_with_faults_and_prints_json_for_programs(self, server: Server) -> None:
        with nginx_with(server.address, {"old": FAULTS["HTTP/1.0 upstream"][0]}) as fronts:
            code, out, err = doctor(f"http://127.0.0.1:{fronts['old'][1]}", "--quick", "--json")
        report = json.loads(out)
        assert (code, err) == (1, "")
        assert (report["proxy"], report["faults"]) == ("nginx", 1)
        assert [each["check"] for each in report["findings"] if each["level"] == "fault"] == ["upstream-http"]

    def test_it_exits_2_where_nobody_answers(self) -> None:
        code, out, err = doctor(f"http://127.0.0.1:{free_port()}", "--quick")
        assert (code, out) == (2, "")
        assert "did not answer" in err

    def test_it_exits_2_where_something_else_answers_and_says_what(self) -> None:
        page = Reply(200, {"content-type": "text/html", "server": "Apache"}, b"<h1>It works!</h1>")
        with ScriptedServer(page) as other:
            code, out, err = doctor(other.url, "--json")
        assert (code, err) == (2, "")
        assert "is no Tailrace: the Apache there answers 200 with text/html" in json.loads(out)["error"]

    def test_it_exits_2_where_the_proxy_has_nobody_behind_it(self) -> None:
        away = b'retry: 2000\nevent: reconnect\ndata: {"reason":"unavailable"}\n\n'
        with ScriptedServer(stream(away)) as front:
            code, _, err = doctor(front.url)
        assert code == 2
        assert "no instance of Tailrace behind it" in err

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["ftp://x"], "expected a URL such as"),
            (["http://x", "--idle", "1000"], "0 to 300 seconds"),
            (["http://x", "--origin", "app"], "expected an origin such as"),
        ],
    )
    def test_what_cannot_be_asked_is_wrong_usage(self, arguments: list[str], told: str) -> None:
        code, _, err = doctor(*arguments)
        assert code == 2
        assert told in err

    def test_over_tls_it_sees_whether_http_2_is_offered_and_whether_the_certificate_is_good(
        self, server: Server, tmp_path: Path
    ) -> None:
        with nginx_tls([server.address], tmp_path) as front:
            url = f"https://127.0.0.1:{front[1]}"
            trusting = doctor(url, "--quick", "--json", SSL_CERT_FILE=str(tmp_path / "cert.pem"))
            wary = doctor(url, "--quick")
        findings = {each["check"]: each for each in json.loads(trusting[1])["findings"]}
        assert (trusting[0], findings["http2"]["level"]) == (0, "ok")
        assert wary[0] == 2
        assert "certificate verify failed" in wary[2]
