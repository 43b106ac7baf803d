"""Answers in the dialects of others, on two instances over one Redis: what was asked on one is read on the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.support.fleet import Answers, Fleet, question_of
from tests.support.upstream import Script, Seen

MODELS = ("responses/m", "up/m")
"""One whose frames are relayed, and one whose answer is written in other words."""
ERROR = {"type": "invalid_request_error", "code": "context_length_exceeded", "message": "long", "param": "input"}


def answers(seen: Seen) -> Script:
    """The answer to a request: at its own pace, but for those who ask for an error."""
    return Script(fault="error", after=2, error=ERROR) if question_of(seen) == "broken" else Answers(10, 0.05)(seen)


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Two instances."""
    with Fleet() as fleet:
        fleet.up.default = answers
        yield fleet


@pytest.fixture
def clients(fleet: Fleet) -> Iterator[list[openai.OpenAI]]:
    """OpenAI's SDK for each of them."""
    made = [openai.OpenAI(base_url=f"{each.url}/v1", api_key="k", max_retries=0) for each in fleet.instances]
    yield made
    for client in made:
        client.close()


@pytest.mark.parametrize("model", MODELS)
def test_a_place_in_a_response_is_the_same_on_each_instance(clients: list[openai.OpenAI], model: str) -> None:
    a, b = (client.responses for client in clients)
    with a.create(model=model, input="counted", stream=True, background=True) as stream:
        events: list[Any] = [next(stream) for _ in range(6)]
        name = events[0].response.id
        there = list(b.retrieve(name, stream=True, starting_after=events[-1].sequence_number))
        events += stream
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert there == events[6:]
    for after in (0, 4, len(events) - 2):
        assert [list(each.retrieve(name, stream=True, starting_after=after)) for each in (a, b)] == [
            events[after + 1 :],
            events[after + 1 :],
        ]
    assert a.retrieve(name) == b.retrieve(name) == events[-1].response


@pytest.mark.parametrize("model", MODELS)
def test_a_response_is_cancelled_from_another_instance(clients: list[openai.OpenAI], model: str) -> None:
    a, b = (client.responses for client in clients)
    with a.create(model=model, input="cancelled", stream=True, background=True) as stream:
        name = next(stream).response.id  # type: ignore[union-attr]
        assert b.cancel(name).status == "cancelled"
        with pytest.raises(openai.APIError, match="cancelled"):
            list(stream)
    assert [each.retrieve(name).status for each in (a, b)] == ["cancelled", "cancelled"]


@pytest.mark.parametrize("model", ["responses/m"])
def test_a_providers_own_words_are_told_on_each_instance(clients: list[openai.OpenAI], model: str) -> None:
    begun = clients[0].responses.create(model=model, input="broken", background=True)
    for client in clients:
        with pytest.raises(openai.APIError) as caught:
            list(client.responses.retrieve(begun.id, stream=True))
        assert (caught.value.code, caught.value.param, caught.value.type) == (ERROR["code"], "input", ERROR["type"])
        assert (client.responses.retrieve(begun.id).error or ERROR).code == ERROR["code"]  # type: ignore[union-attr]
