"""Names in settings: which exist and which was probably meant."""

from __future__ import annotations

from difflib import get_close_matches
from types import UnionType
from typing import TYPE_CHECKING

import msgspec

from tailrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["check_known", "check_table", "did_you_mean"]


def check_known(where: str, raw: object, shape: type[msgspec.Struct]) -> None:
    """Raise SettingsError for the first key in `raw`, or in the tables below it, that `shape` does not have."""
    check_table(where, raw)
    fields = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    for key, value in dict(raw).items():  # type: ignore[call-overload]  # check_table holds that it is a table
        if key not in fields:
            raise SettingsError(f"{where}: unknown key {key!r}{did_you_mean(key, fields)}")
        for nested, each in _tables(fields[key].type, value):
            check_known(f"{where} {key}", each, nested)


def check_table(where: str, raw: object) -> None:
    """Raise SettingsError unless `raw` is a table."""
    if not isinstance(raw, dict):
        raise SettingsError(f"{where}: expected a table of keys, got {raw!r}")


def did_you_mean(name: str, known: Iterable[str], shape: str = "{!r}", spell: Callable[[str], str] = str) -> str:
    """Return a clause that proposes the known name nearest to `name`, or nothing where none is near."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f" (did you mean {shape.format(spell(near[0]))}?)" if near else ""


def _tables(annotation: object, value: object) -> list[tuple[type[msgspec.Struct], object]]:
    """Return the tables in `value` whose keys can be checked, each with its shape."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct) and isinstance(value, dict):
        return [(annotation, value)]
    if isinstance(annotation, UnionType):
        return [pair for each in annotation.__args__ for pair in _tables(each, value)]
    if getattr(annotation, "__origin__", None) is tuple and isinstance(value, list):
        shape = annotation.__args__[0]  # type: ignore[attr-defined]  # a generic alias
        return [pair for each in value for pair in _tables(shape, each)]
    return []
