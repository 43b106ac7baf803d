"""What callers of `/v1` have of each other's, where they share one provider and its one key: nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tailrace.access.keys import hash_of
from tests.support.server import Server
from tests.support.upstream import Upstream

KEYS = {name: f"tr_{name}-of-the-tests-{'x' * 32}" for name in ("ann", "ben", "boss")}
_SETTINGS = """
[chat]
default_model = "up/m"
[auth]
required = true
keys = [
  {{ name = "ann", hash = "{ann}", scopes = ["chat"] }},
  {{ name = "ben", hash = "{ben}", scopes = ["chat"] }},
  {{ name = "boss", hash = "{boss}", scopes = ["admin"] }},
]
[providers.up]
kind = "openai-responses"
base_url = "{url}"
"""


@pytest.fixture
def shared() -> Iterator[tuple[Server, Upstream]]:
    hashes = {name: hash_of(key) for name, key in KEYS.items()}
    with Upstream() as up, Server(_SETTINGS.format(url=up.url, **hashes)) as server:
        yield server, up
        assert "Traceback" not in server.said


def test_nobody_goes_on_from_a_response_that_is_anothers(shared: tuple[Server, Upstream]) -> None:
    server, up = shared
    body = {"model": "up/m", "input": "Hi"}

    def ask(name: str, **more: object) -> tuple[int, dict[str, object]]:
        answer = server.ask("POST", "/v1/responses", {"authorization": f"Bearer {KEYS[name]}"}, {**body, **more})
        return answer.status, answer.json()

    _, said = ask("ann")
    asked = len(up.seen)
    status, refused = ask("ben", previous_response_id=said["id"])
    assert (status, len(up.seen)) == (400, asked)
    assert refused["error"] == {
        "message": "previous_response_id: there is no such response",
        "type": "invalid_request_error",
        "param": "previous_response_id",
        "code": "previous_response_not_found",
    }
    assert [ask(name, previous_response_id=said["id"])[0] for name in ("ann", "boss")] == [200, 200]
    assert ask("ben", previous_response_id="resp_of_long_ago")[0] == 200, "of what is kept no more, nobody can tell"
