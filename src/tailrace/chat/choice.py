"""Which target a caller gets first, and in which order the others stand in for it.

The choice is a pure function of the route, the caller's key and the weights: nothing is remembered,
and every instance of a fleet chooses the same.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tailrace.chat.models import Arm, Route, Target

__all__ = ["choose", "order"]

_SPACE = float(1 << 64)


def choose(route: Route, key: str) -> Target:
    """Return the target that answers `key`, the same each time, as long as nothing is wrong with it."""
    return order(route, key)[0]


def order(route: Route, key: str) -> Sequence[Target]:
    """Return the route's targets, each once, in the order in which `key` is to try them.

    First the arm that the key fell to, then the route's fallback as it is written, then the other arms:
    a caller who is sent to the other arm of an experiment spoils it, but has an answer.
    """
    if len(route.arms) == 1:
        return route.targets
    first, *others = _by_score(route.name, key, route.arms)
    return tuple(dict.fromkeys((first, *route.fallback, *others)))


def _by_score(route: str, key: str, arms: Sequence[Arm]) -> list[Target]:
    """Return the arms' targets by weighted rendezvous hashing, the winner first.

    Each arm wins its share of the keys, and a changed weight, or an arm that comes or goes, moves no key
    but those which have to move; with ranges of one hash, 9:1 turned into 8:2 would reshuffle all arms behind.
    """
    return [arm.target for arm in sorted(arms, key=lambda arm: _score(route, key, arm), reverse=True)]


def _score(route: str, key: str, arm: Arm) -> float:
    said = "\0".join((route, key, str(arm.target))).encode(errors="surrogatepass")
    drawn = int.from_bytes(hashlib.blake2b(said, digest_size=8).digest())
    return -arm.weight / math.log((drawn + 0.5) / _SPACE)
