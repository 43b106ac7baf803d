"""What a run is and how long it may go on, as its caller says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailrace.runs.account import Attempted
    from tailrace.runs.spans import Span

__all__ = ["RunOptions"]


_WRAPPED = 8
_LEAST_KEPT = 4_194_304  # an answer of few bytes may be asked for with many, and Responses repeats them


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a run is and how long it may go on.

    `owner` is who it belongs to (None: whoever knows its id). `grace`: seconds without a viewer before it
    is cancelled (0 = at once, None = never). `max_bytes` bounds what it may say: text, reasoning and arguments of
    tools, in UTF-8. `max_ahead` is how many bytes may be kept ahead of the viewer who has read most.
    `prompt_bytes` is the question's size in UTF-8, for an estimate of its tokens where nobody says better.
    `keep`: seconds for which it can be read after its end (None: for good). `attempts` is a list that the producer
    fills while it tries upstreams. `framed` says that frames of an upstream may ride on what it says, `view` is how
    its own caller is shown it, in words of the floor that shows it. `span` is where somebody follows it.

    Raises `ValueError` for a time or a size that is none.
    """

    model: str = ""
    provider: str = ""
    owner: str | None = None
    grace: float | None = 10.0
    max_bytes: int = 8_388_608
    max_ahead: int = 4_194_304
    prompt_bytes: int = 0
    keep: float | None = 900.0
    attempts: Sequence[Attempted] = field(default=(), compare=False)
    framed: bool = False
    view: str = ""
    span: Span | None = field(default=None, compare=False)

    @property
    def max_kept(self) -> int:
        """How many bytes may be kept of what it says: of frames that wrap it, and may repeat it, too.

        Responses says a text five times in all. Chunks of 300 bytes hold a token each; an answer of 100,000 is kept.
        """
        return _WRAPPED * self.max_bytes + _LEAST_KEPT

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name, seconds in (("grace", self.grace), ("keep", self.keep)):
            if seconds is not None and not seconds >= 0:
                raise ValueError(f"{name} must be 0 seconds or more, not {seconds}")
        if self.max_bytes < 1 or self.max_ahead < 1 or self.prompt_bytes < 0:
            raise ValueError("max_bytes and max_ahead must be 1 or more, prompt_bytes 0 or more")
