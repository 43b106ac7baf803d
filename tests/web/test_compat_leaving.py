"""A server that leaves in the middle of answers: their ends are explicit, in every dialect."""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor

from tests.support.gateway import BODIES, OWN_KIND, PATHS, Gatewayed
from tests.support.raw import Raw
from tests.support.sdks import DIALECTS
from tests.support.upstream import Script

ENDS = {"openai-chat": "[DONE]", "openai-responses": "response.completed", "anthropic": "message_stop"}


def begun(gateway: Gatewayed, stack: contextlib.ExitStack) -> dict[str, Raw]:
    """An answer in each dialect that has begun, and goes on when the upstream does."""
    gateway.up.default = Script(fault="stall", after=2)
    streams = {}
    for dialect in DIALECTS:
        raw = streams[dialect] = stack.enter_context(gateway.server.connect())
        body = {"model": OWN_KIND[dialect], "stream": True, **BODIES[dialect]}
        raw.request("POST", PATHS[dialect], {}, body)
        assert raw.head().status == 200
        raw.event()
    return streams


def test_whoever_reads_an_answer_is_kept_to_its_end() -> None:
    with Gatewayed() as gateway, contextlib.ExitStack() as stack:
        streams = begun(gateway, stack)
        gateway.server.terminate()
        gateway.server.wait_said("answers go on")
        gateway.up.resume()
        for dialect, raw in streams.items():
            last = raw.rest()[-1]
            assert raw.complete
            assert ENDS[dialect] in (last.data, last.event)
        assert gateway.server.wait() == 0


def test_what_is_left_at_the_deadline_ends_in_an_error() -> None:
    with Gatewayed(drain_timeout=0.5) as gateway, contextlib.ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        streams = begun(gateway, stack)
        waiting = pool.submit(gateway.ask, "openai-chat", "openai")
        gateway.up.wait_for(lambda seen: len(seen) == len(DIALECTS) + 1)
        gateway.server.terminate()
        for raw in streams.values():
            said = json.loads(raw.rest()[-1].data)
            assert "stopped" in said["error"]["message"]
            assert raw.complete
        answer = waiting.result()
        assert (answer.status, answer.json()["error"]["code"]) == (503, "tailrace_interrupted")
        assert gateway.server.wait() == 0
