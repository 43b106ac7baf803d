"""What a caller may do, as said by scopes: `chat`, `publish:<pattern>`, `subscribe:<pattern>`, `metrics`, `admin`.

In a pattern `*` stands for any run of characters, and `{sub}` for the caller's own name, taken literally: whatever
characters it has, it is never a pattern itself. There is no pattern language underneath that one would have to escape
anything for, and a match takes time in proportion to the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["EVERYTHING", "NOTHING", "Action", "Grants"]

Action = Literal["chat", "publish", "subscribe", "metrics", "admin"]

Pattern = tuple[str, ...]
"""The literal pieces of a pattern, between which anything may stand."""

_PLAIN: Final = frozenset({"chat", "metrics", "admin"})
_NAMING: Final = frozenset({"publish", "subscribe"})
# What names are made of, and what stands for something else.
_PATTERN: Final = re.compile(r"(?:[A-Za-z0-9._~:*-]|\{sub\}){1,160}")


@dataclass(frozen=True, slots=True)
class Grants:
    """What a caller may do. `admin` allows everything, also to read and cancel what is another's."""

    plain: frozenset[str] = frozenset()
    publish: tuple[Pattern, ...] = ()
    subscribe: tuple[Pattern, ...] = ()

    @classmethod
    def parse(cls, scopes: Iterable[str], subject: str = "") -> Grants:
        """Read scopes; `subject` is what `{sub}` stands for. Raises ValueError for one that is none of ours."""
        plain: set[str] = set()
        naming: dict[str, list[Pattern]] = {"publish": [], "subscribe": []}
        for scope in scopes:
            action, colon, pattern = scope.partition(":")
            if action in _PLAIN and not colon:
                plain.add(action)
            elif action in _NAMING and _PATTERN.fullmatch(pattern):
                naming[action].append(tuple(piece.replace("{sub}", subject) for piece in pattern.split("*")))
            else:
                raise ValueError(_expected(scope))
        return cls(frozenset(plain), tuple(naming["publish"]), tuple(naming["subscribe"]))

    @classmethod
    def known(cls, scopes: Iterable[str], subject: str) -> Grants:
        """Read those scopes that are ours: a token may have others in it, for other servers."""
        return cls.parse([scope for scope in scopes if _is_ours(scope)], subject)

    @property
    def scopes(self) -> list[str]:
        """The scopes as they would be written, `{sub}` filled in."""
        named = (("publish", self.publish), ("subscribe", self.subscribe))
        return [*sorted(self.plain), *(f"{action}:{'*'.join(each)}" for action, all_ in named for each in all_)]

    def may(self, action: Action, name: str = "") -> bool:
        """Whether this is allowed; `name` is the channel that is to be published or subscribed to."""
        if "admin" in self.plain:
            return True
        if action == "publish":
            return any(_matches(pattern, name) for pattern in self.publish)
        if action == "subscribe":
            return any(_matches(pattern, name) for pattern in self.subscribe)
        return action in self.plain


def _is_ours(scope: str) -> bool:
    action, colon, pattern = scope.partition(":")
    return (action in _PLAIN and not colon) or (action in _NAMING and _PATTERN.fullmatch(pattern) is not None)


def _expected(scope: str) -> str:
    if scope in _NAMING:
        return f"{scope!r} needs the channels that it is for: {scope}:<pattern>, or {scope}:* for all"
    return f"expected chat, publish:<pattern>, subscribe:<pattern>, metrics or admin, got {scope!r}"


def _matches(pattern: Sequence[str], name: str) -> bool:
    """Whether the pieces stand in the name in their order, the first at its beginning and the last at its end."""
    first, *others = pattern
    if not others:
        return name == first
    *middle, last = others
    end = len(name) - len(last)
    if end < len(first) or not (name.startswith(first) and name.endswith(last)):
        return False
    at = len(first)
    for piece in middle:
        # The leftmost place leaves most room for the pieces behind it, so that no other has to be tried.
        found = name.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


NOTHING: Final = Grants()
EVERYTHING: Final = Grants(frozenset({"admin"}))
