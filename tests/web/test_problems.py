"""What is raised, as the caller reads it: a problem on our own paths, the API's own error below `/v1`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tailrace.errors import ErrorType, KeyReused, ProviderError, RunError, StoreUnavailable, UnknownModel
from tailrace.testing import Harness
from tailrace.web.problems import HANDLERS, Failed

pytestmark = pytest.mark.anyio

OURS, CHAT, RESPONSES, MESSAGES = "/api/chat", "/v1/chat/completions", "/v1/responses", "/v1/messages"


async def told(error: Exception, path: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """What a path answers whose endpoint raises `error`: status, headers and body."""

    async def endpoint(request: Request) -> Response:
        raise error

    app = Starlette(routes=[Route(path, endpoint, methods=["POST"])], exception_handlers=HANDLERS)
    answer = await Harness(app).ask("POST", path)
    return answer.status, answer.headers, json.loads(await answer.read())


@pytest.mark.parametrize("path", [OURS, CHAT, RESPONSES, MESSAGES])
async def test_a_store_that_is_away_says_when_to_come_again(path: str) -> None:
    status, headers, body = await told(StoreUnavailable("10.1.2.3:6379: Connection refused", 2.2), path)
    assert (status, headers["retry-after"]) == (503, "3")
    said = body if path == OURS else body["error"]
    # Where the store is, is nobody's business but the operator's.
    assert (said.get("detail") or said["message"]) == "The store cannot be had now; come again."
    assert body.get("type") == {OURS: "about:blank", MESSAGES: "error"}.get(path)


async def test_each_api_has_its_own_word_for_what_happened() -> None:
    assert (await told(UnknownModel("x"), OURS))[2]["code"] == "unknown_model"
    assert (await told(UnknownModel("x"), CHAT))[2]["error"]["code"] == "model_not_found"
    assert (await told(UnknownModel("x"), MESSAGES))[2]["error"]["type"] == "not_found_error"
    assert (await told(KeyReused(), CHAT))[2]["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (
            ProviderError(ErrorType.PROVIDER_RATE_LIMITED, "slow", retry_after=1.5),
            429,
            {"retry-after": "2", "retry-after-ms": "1500"},
        ),
        (ProviderError(ErrorType.PROVIDER_RATE_LIMITED, "slow"), 429, {}),
        (ProviderError(ErrorType.PROVIDER_OVERLOADED, "busy"), 503, {"retry-after": "1", "retry-after-ms": "1000"}),
        (ProviderError(ErrorType.PROVIDER_CUT, "cut", retry_after=9), 502, {}),
        (ProviderError(ErrorType.PROVIDER_REJECTED, "no", status=413), 413, {"x-should-retry": "false"}),
        (RunError(ErrorType.CALLER_CANCELLED, "cancelled"), 499, {"x-should-retry": "false"}),
    ],
)
async def test_a_run_that_failed_says_whether_and_when_to_ask_again(
    error: RunError, status: int, headers: dict[str, str]
) -> None:
    answer = await told(Failed("r", error, kept=False), CHAT)
    assert answer[0] == status
    advice = {
        name: answer[1][name] for name in ("retry-after", "retry-after-ms", "x-should-retry") if name in answer[1]
    }
    assert advice == headers
    assert answer[1]["tailrace-run"] == "r"
    assert answer[2]["error"]["code"] == error.type


async def test_a_failure_that_is_kept_for_its_key_is_of_no_use_again() -> None:
    kept = Failed("r", ProviderError(ErrorType.PROVIDER_FAILED, "failed"), kept=True)
    assert (await told(kept, CHAT))[1]["x-should-retry"] == "false"


async def test_a_run_that_the_store_has_lost_is_an_error_like_any_other() -> None:
    status, _, body = await told(RunError(ErrorType.TAILRACE_INTERRUPTED, "lost"), RESPONSES)
    assert (status, body["error"]["message"]) == (503, "lost")
