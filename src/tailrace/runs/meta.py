"""What a run's log is created with: whose it is, who speaks in it, and who produces it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["RunMeta"]


@dataclass(frozen=True, slots=True)
class RunMeta:
    """`owner` is who may read it (None: whoever knows its id), `provider` the upstream's name.

    Where a store is shared, `by` is the instance that produces it, and `keep` says for how many seconds it is
    kept after its end (None: for good), for whoever writes that end in the producer's place.
    """

    owner: str | None
    provider: str
    by: str | None = None
    keep: float | None = None

    def __str__(self) -> str:
        return _written(self)

    @classmethod
    def parse(cls, text: str) -> RunMeta:
        """Read what was written."""
        return _read(text)


# Few of them differ, and each start of a run needs one.
@lru_cache(maxsize=1024)
def _written(meta: RunMeta) -> str:
    said: dict[str, object] = {"owner": meta.owner, "provider": meta.provider}
    return json.dumps(said if meta.by is None else said | {"by": meta.by, "keep": meta.keep})


@lru_cache(maxsize=1024)
def _read(text: str) -> RunMeta:
    said = json.loads(text)
    return RunMeta(said["owner"], said["provider"], said.get("by"), said.get("keep"))
