"""What every section of the settings is made of: a value that is checked when it is made, and the ranges in use.

Durations are seconds, sizes are bytes.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tailrace.errors import SettingsError

__all__ = ["Count", "Duration", "DurationOrZero", "Kept", "NonEmpty", "Section"]

# A day bounds what must end (a TOML `inf` or a slip in the unit would hang a shutdown), a month what is kept.
Duration = Annotated[float, Meta(gt=0, le=86_400)]
DurationOrZero = Annotated[float, Meta(ge=0, le=86_400)]
Kept = Annotated[float, Meta(ge=0, le=31 * 86_400)]
Count = Annotated[int, Meta(ge=1)]
NonEmpty = Annotated[str, Meta(min_length=1)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the settings. Its constructor raises SettingsError for a value out of its field's range."""

    def __post_init__(self) -> None:
        # msgspec holds types and ranges when it reads, not when Python code constructs.
        for field in msgspec.structs.fields(self):
            try:
                msgspec.convert(getattr(self, field.name), field.type)
            except msgspec.ValidationError as problem:
                raise SettingsError(f"{field.name}: {problem}") from None
