"""Options that hold the ranges of their own fields, whoever makes them."""

from __future__ import annotations

import msgspec

from tailrace.errors import SettingsError

__all__ = ["Checked"]


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A struct whose fields state their ranges in their types, by `msgspec.Meta`.

    Raises:
        SettingsError: a number that is out of its range.
    """

    def __post_init__(self) -> None:
        # msgspec holds ranges when it reads, not when Python code constructs.
        for field in msgspec.structs.fields(self):
            try:
                msgspec.convert(getattr(self, field.name), field.type)
            except msgspec.ValidationError as problem:
                raise SettingsError(f"{type(self).__name__}.{field.name}: {problem}") from None
