"""What several processes say about themselves, as one answer."""

from __future__ import annotations

from typing import Any

import pytest

from tailrace.web.health import together, totals

ONE: dict[str, Any] = {
    "status": "healthy",
    "active_streams": 1,
    "active_runs": 2,
    "subscribers": 3,
    "total_requests": 4,
    "failed_requests": 5,
    "total_tokens": 6,
    "uptime_seconds": 7.5,
    "memory_mb": 47.1,
    "store": "redis",
    "degraded_since": None,
    "limits_degraded_since": None,
    "pid": 8,
}


def test_what_is_counted_is_summed_and_the_oldest_uptime_is_the_services() -> None:
    answer = together([ONE, {**ONE, "uptime_seconds": 1.25, "pid": 9}, {**ONE, "active_runs": 40}])
    assert answer == {
        "status": "healthy",
        "active_streams": 3,
        "active_runs": 44,
        "subscribers": 9,
        "total_requests": 12,
        "failed_requests": 15,
        "total_tokens": 18,
        "uptime_seconds": 7.5,
        "memory_mb": 141.3,
        "store": "redis",
        "degraded_since": None,
        "limits_degraded_since": None,
        "pid": 8,
    }


def test_the_service_is_degraded_since_the_first_of_its_processes_was() -> None:
    each = [ONE, *({**ONE, "status": "degraded", "degraded_since": since} for since in (20.5, 10.5))]
    assert together(each)["degraded_since"] == 10.5


@pytest.mark.parametrize(
    ("each", "all_of_them"),
    [
        (["healthy", "healthy"], "healthy"),
        (["healthy", "degraded"], "degraded"),
        (["draining", "healthy"], "healthy"),
        (["draining", "degraded"], "degraded"),
        (["draining", "draining"], "draining"),
    ],
)
def test_one_that_leaves_is_being_replaced_and_one_that_suffers_is_the_services_matter(
    each: list[str], all_of_them: str
) -> None:
    assert together([{**ONE, "status": status} for status in each])["status"] == all_of_them


def test_what_was_counted_by_those_who_are_gone_stays_counted() -> None:
    gone = totals([ONE, ONE])
    assert gone == {"total_requests": 8, "failed_requests": 10, "total_tokens": 12}
    answer = together([ONE], [gone])
    assert (answer["total_requests"], answer["failed_requests"], answer["total_tokens"]) == (12, 15, 18)
    assert answer["active_runs"] == 2, "what was open is not"
