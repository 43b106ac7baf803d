"""Reading an untyped body: each access says what it expects, and a refusal names the place.

A reader takes the fields that it knows; it, or `reading`, ends with `tie_rest`: what it did not take is known to the
dialect's own kind of provider alone. A null counts as absent, as it does in all three APIs.
"""

from __future__ import annotations

from typing import Any, TypeVar

from tailrace.chat.dialects.request import BadRequest, Tie

__all__ = ["Fields", "object_of", "present"]

T = TypeVar("T")

_CALLED = {str: "a string", bool: "true or false", int: "an integer", dict: "an object", list: "an array"}


class Fields:
    """One object of a body, and where it stands; `ties` is shared with all the objects within it."""

    __slots__ = ("_seen", "_value", "path", "ties")

    def __init__(self, value: dict[str, Any], path: str, ties: list[Tie]) -> None:
        self.path = path
        self.ties = ties
        self._value = value
        self._seen: set[str] = set()

    @property
    def whole(self) -> dict[str, Any]:
        """All of the object, as it came."""
        return self._value

    def place(self, name: str | int) -> str:
        """Return the dotted path of a field."""
        return f"{self.path}.{name}" if self.path else str(name)

    def has(self, name: str) -> bool:
        """Tell whether a field is there and not null."""
        return self._value.get(name) is not None

    def raw(self, name: str) -> Any:
        """Take a field of any type; None where it is absent."""
        self._seen.add(name)
        return self._value.get(name)

    def text(self, name: str) -> str | None:
        """Take a string."""
        return self._typed(name, str)

    def required(self, name: str) -> str:
        """Take a string that must be there."""
        return present(self.text(name), self.place(name))

    def flag(self, name: str) -> bool | None:
        """Take a boolean."""
        return self._typed(name, bool)

    def integer(self, name: str, least: int = 0) -> int | None:
        """Take an integer of `least` or more."""
        value = self._typed(name, int)
        if value is not None and value < least:
            raise BadRequest(f"expected {least} or more, got {value}", self.place(name))
        return value

    def number(self, name: str, most: float) -> float | None:
        """Take a number from 0 to `most`."""
        value = self.raw(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadRequest("expected a number", self.place(name))
        if not 0 <= value <= most:
            raise BadRequest(f"expected 0 to {most:g}, got {value}", self.place(name))
        return value

    def choice(self, name: str, words: tuple[str, ...]) -> str | None:
        """Take one of `words`; another one is the dialect's own kind's to judge."""
        value = self.text(name)
        if value is not None and value not in words:
            self.tie(name)
            return None
        return value

    def nested(self, name: str) -> Fields | None:
        """Take an object."""
        value = self._typed(name, dict)
        return None if value is None else Fields(value, self.place(name), self.ties)

    def array(self, name: str) -> list[Any] | None:
        """Take an array of anything."""
        return self._typed(name, list)

    def texts(self, name: str) -> tuple[str, ...]:
        """Take an array of strings."""
        items = self.array(name) or []
        for place, item in enumerate(items):
            require(item, str, f"{self.place(name)}.{place}")
        return tuple(items)

    def objects(self, name: str) -> list[Fields]:
        """Take an array of objects."""
        path = self.place(name)
        return [object_of(item, f"{path}.{place}", self.ties) for place, item in enumerate(self.array(name) or ())]

    def idle(self, *names: str) -> None:
        """Pass over fields that have no effect on the answer."""
        self._seen.update(names)

    def usual(self, name: str, value: object) -> None:
        """Pass over a field whose value is the usual one; with another it is a tie."""
        if self.raw(name) not in (None, value):
            self.tie(name)

    def tie(self, name: str | int, *kinds: str) -> None:
        """Note that a field can be said to `kinds` alone, beside the dialect's own."""
        self.ties.append(Tie(self.place(name), frozenset(kinds)))

    def tie_all(self, *kinds: str) -> None:
        """Note the same of this object itself."""
        self.ties.append(Tie(self.path, frozenset(kinds)))

    def tie_rest(self) -> None:
        """Note what nobody took: only the dialect's own kind knows it."""
        for name in self._value:
            if name not in self._seen and self.has(name):
                self.tie(name)

    def _typed(self, name: str, kind: type[T]) -> T | None:
        value = self.raw(name)
        return None if value is None else require(value, kind, self.place(name))


def object_of(value: object, path: str, ties: list[Tie]) -> Fields:
    """Return `value` as an object. Raises `BadRequest` where it is none."""
    return Fields(require(value, dict, path), path, ties)


def require(value: object, kind: type[T], path: str) -> T:
    """Return `value`, which must be of `kind`. Raises `BadRequest` where it is not."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BadRequest(f"expected {_CALLED[kind]}", path)
    return value


def present(value: T | None, path: str) -> T:
    """Return `value`, which must be there. Raises `BadRequest` where it is not."""
    if value is None:
        raise BadRequest("this field is required", path, "missing_required_parameter")
    return value
