"""Which targets of a route can be asked what a caller asks in some dialect."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tailrace.chat.dialects import BadRequest, check
from tailrace.chat.models import Arm, Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from tailrace.chat.dialects import Request
    from tailrace.chat.models import Target

__all__ = ["sayable"]


def sayable(request: Request, route: Route, kind_of: Callable[[Target], str]) -> Route:
    """Return the route without the targets that the request cannot be said to.

    An answer that breaks after content fails there, whatever the route says: no dialect but our own can tell a
    client to discard what it has.

    Raises:
        BadRequest: there is no other; the error is about the first.
    """
    refused = _refusals(request, route, kind_of)
    if not refused and route.policy.after_content == "fail":
        return route  # as it is, nearly always
    if len(refused) == len(route.targets):
        raise refused[route.arms[0].target]
    arms = tuple(arm for arm in route.arms if arm.target not in refused)
    fallback = tuple(target for target in route.fallback if target not in refused)
    if not arms:
        arms, fallback = (Arm(fallback[0]),), fallback[1:]
    return Route(route.name, arms, fallback, replace(route.policy, after_content="fail"))


def _refusals(request: Request, route: Route, kind_of: Callable[[Target], str]) -> dict[Target, BadRequest]:
    refused: dict[Target, BadRequest] = {}
    for target in route.targets:
        kind = kind_of(target)
        if kind != request.kind:
            try:
                check(request, kind)
            except BadRequest as error:
                refused[target] = error
    return refused
