"""Which targets of a route can be asked what a caller asks in a dialect."""

from __future__ import annotations

import pytest

from tailrace.chat.dialects import DIALECTS, BadRequest, Request
from tailrace.chat.gateway import Gateway
from tailrace.chat.models import Arm, Policy, Route, Target
from tailrace.chat.providers.base import ProviderOptions

GPT, CLAUDE, SPARE = Target("gpt", "g"), Target("claude", "c"), Target("spare", "s")
GATEWAY = Gateway.build(
    [
        ProviderOptions(name="gpt", kind="openai"),
        ProviderOptions(name="claude", kind="anthropic"),
        ProviderOptions(name="spare", kind="anthropic"),
    ]
)


def _request(**fields: object) -> Request:
    body = {"model": "smart", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return DIALECTS["openai-chat"].read(body)


def _route(*arms: Target, fallback: tuple[Target, ...] = ()) -> Route:
    return Route("smart", tuple(map(Arm, arms)), fallback, Policy(retries=3, after_content="continue"))


def test_what_every_kind_can_say_is_asked_of_the_whole_route_but_never_begun_anew_after_content() -> None:
    route = _route(GPT, CLAUDE, fallback=(SPARE,))
    assert GATEWAY.sayable(_request(), route) == Route(
        "smart", route.arms, route.fallback, Policy(retries=3, after_content="fail")
    )


def test_what_only_its_own_kind_can_say_is_asked_of_that_kind_alone() -> None:
    narrowed = GATEWAY.sayable(_request(logit_bias={"1": 2}), _route(CLAUDE, GPT, fallback=(SPARE,)))
    assert (narrowed.targets, narrowed.fallback) == ((GPT,), ())


def test_a_fallback_takes_the_place_of_targets_that_cannot_be_asked() -> None:
    narrowed = GATEWAY.sayable(_request(logit_bias={"1": 2}), _route(CLAUDE, fallback=(SPARE, GPT)))
    assert narrowed.arms == (Arm(GPT),)


def test_what_nobody_on_the_route_can_say_is_refused_by_the_name_of_the_field() -> None:
    with pytest.raises(BadRequest, match="logit_bias") as caught:
        GATEWAY.sayable(_request(logit_bias={"1": 2}), _route(CLAUDE, fallback=(SPARE,)))
    assert (caught.value.param, caught.value.code) == ("logit_bias", "unsupported_parameter")


@pytest.mark.parametrize(("target", "relays"), [(GPT, True), (CLAUDE, False)])
def test_frames_can_only_be_relayed_from_the_dialects_own_kind(target: Target, relays: bool) -> None:
    assert GATEWAY.relays(_request(), _route(target)) is relays
