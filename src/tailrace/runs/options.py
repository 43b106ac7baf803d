"""What a run is and how long it may go on, as its caller says."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RunOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a run is and how long it may go on.

    `owner` is who it belongs to (None: whoever knows its id). `grace`: seconds without a viewer before it
    is cancelled (0 = at once, None = never). `max_bytes` bounds what it may say. `prompt_bytes` is the
    question's size in UTF-8, for an estimate of its tokens where nobody says better. `keep`: seconds for
    which it can be read after its end (None: for good).

    Raises `ValueError` for a time or a size that is none.
    """

    model: str = ""
    provider: str = ""
    owner: str | None = None
    grace: float | None = 10.0
    max_bytes: int = 8_388_608
    prompt_bytes: int = 0
    keep: float | None = 900.0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name, seconds in (("grace", self.grace), ("keep", self.keep)):
            if seconds is not None and not seconds >= 0:
                raise ValueError(f"{name} must be 0 seconds or more, not {seconds}")
        if self.max_bytes < 1 or self.prompt_bytes < 0:
            raise ValueError("max_bytes must be 1 or more, prompt_bytes 0 or more")
