"""An offer is decided once, whoever decides it."""

from __future__ import annotations

import asyncio

import pytest

from tailrace.asgi import Offer

pytestmark = pytest.mark.anyio


def offer() -> Offer:
    return Offer(b"first", lambda sink: None, lasting=True)


async def test_an_offer_that_was_decided_answers_at_once() -> None:
    taken, refused = offer(), offer()
    taken.decide(outcome=True)
    refused.decide(outcome=False)
    assert await taken.decided(0)
    assert not await refused.decided(0)


async def test_only_the_first_word_counts() -> None:
    one = offer()
    one.decide(outcome=False)
    one.decide(outcome=True)
    assert one.outcome is False


async def test_whoever_waits_hears_the_decision() -> None:
    one = offer()
    waiting = asyncio.ensure_future(one.decided(5))
    await asyncio.sleep(0)
    one.decide(outcome=True)
    assert await waiting


async def test_who_waits_too_long_is_refused_for_good() -> None:
    one = offer()
    assert not await one.decided(0.01)
    one.decide(outcome=True)
    assert one.outcome is False
