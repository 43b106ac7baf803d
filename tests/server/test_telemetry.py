"""A real server, a collector on a socket, and an upstream that sees which trace it is a part of."""

from __future__ import annotations

import time

from tests.support.collector import Collector
from tests.support.server import Server
from tests.support.upstream import Script, Upstream

SETTINGS = """
[chat]
default_model = "up/m"
[providers.up]
kind = "anthropic"
base_url = "{url}"
api_key = "env:KEY"
[telemetry]
endpoint = "{collector}"
service = "shop"
"""
PARENT = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50", "KEY": "sk-very-secret"}


def test_the_upstreams_request_and_the_log_line_belong_to_the_span_that_is_sent() -> None:
    with Upstream() as upstream, Collector() as collector:
        upstream.default = Script(pieces=("Hel", "lo"))
        settings = SETTINGS.format(url=upstream.url, collector=collector.url)
        with Server(settings, env=SOON) as server:
            assert server.ask("POST", "/api/chat", PARENT, {"message": "PRIVATE"}).status == 200
            body = {"model": "up/m", "max_tokens": 5, "messages": [{"role": "user", "content": "PRIVATE"}]}
            assert server.ask("POST", "/v1/messages", PARENT, body).status == 200
            one, other = collector.spans(2)
            assert {span.parent for span in (one, other)} == {"b7ad6b7169203331"}
            assert one.trace == other.trace == "0af7651916cd43dd8448eb211c80319c"
            sent = [seen.headers["traceparent"] for seen in upstream.seen]
            assert sent == [f"00-{span.trace}-{span.span}-01" for span in (one, other)]
            assert one.attributes["gen_ai.provider.name"] == "anthropic"
            assert one.attributes["server.address"] == "127.0.0.1"
            assert one.resource["service.name"] == "shop"
            server.wait_said(f'"span_id":"{one.span}"')
            server.terminate()
            assert server.wait() == 0
        # What is measured is sent at the end, at the latest.
        assert {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"} <= collector.figures().keys()
        assert b"PRIVATE" not in collector.raw()
        assert b"sk-very-secret" not in collector.raw()


def test_a_collector_that_is_away_keeps_nobody_from_being_answered_nor_the_process_from_leaving() -> None:
    with Upstream() as upstream:
        upstream.default = Script(pieces=("Hi",))
        settings = SETTINGS.format(url=upstream.url, collector="http://127.0.0.1:9")
        with Server(settings, env=SOON) as server:
            assert server.ask("POST", "/api/chat", body={"message": "Hi"}).status == 200
            begun = time.monotonic()
            server.terminate()
            assert server.wait() == 0
            assert time.monotonic() - begun < 8
