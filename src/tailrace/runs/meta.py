"""What a run's log is called, and what it is created with: whose it is, who speaks in it, and who produces it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["RunMeta", "log_of"]


def log_of(run: str) -> str:
    """The name of a run's log."""
    return f"run:{run}"


@dataclass(frozen=True, slots=True)
class RunMeta:
    """`owner` is who may read it (None: whoever knows its id), `provider` the upstream's name.

    Where a store is shared, `by` is the instance that produces it; `keep` says for how many seconds it is kept
    after its end (None: for good), for whoever writes that end in the producer's place; and `model` is what
    answers, for whoever finds nothing but such an end. `framed` and `view` are as `RunOptions` has them, for
    whoever shows it.
    """

    owner: str | None
    provider: str
    by: str | None = None
    keep: float | None = None
    model: str = ""
    framed: bool = False
    view: str = ""

    def __str__(self) -> str:
        # Few that say nothing of a view differ, and each start of a run needs one.
        return _write(self) if self.view else _written(self)

    @classmethod
    def parse(cls, text: str) -> RunMeta:
        """Read what was written."""
        return _read(text) if len(text) < _SHORT else _parse(text)


_SHORT = 512  # characters up to which a meta is worth keeping as it was read: a view may be as large as a request


def _write(meta: RunMeta) -> str:
    said: dict[str, object] = {"owner": meta.owner, "provider": meta.provider}
    if meta.by is not None:
        said |= {"by": meta.by, "keep": meta.keep, "model": meta.model}
    if meta.framed:
        said["framed"] = True
    if meta.view:
        said["view"] = meta.view
    return json.dumps(said)


def _parse(text: str) -> RunMeta:
    said = json.loads(text)
    shown = said.get("model", ""), said.get("framed", False), said.get("view", "")
    return RunMeta(said["owner"], said["provider"], said.get("by"), said.get("keep"), *shown)


_written = lru_cache(maxsize=1024)(_write)
_read = lru_cache(maxsize=1024)(_parse)
