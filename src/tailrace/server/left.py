"""What workers have said of themselves, kept on the disk, so that sums over all of them do not fall when one is gone.

A worker writes down what it says before it says it, and what it knows at its end. So neither a reload nor a crash takes
back what anybody was told: whoever sums up counts those who answer, and the last words of all others. Words
of the dead are folded into one file now and then, by whoever comes or goes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import secrets
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tailrace.web.peers import Fold

__all__ = ["LastWords"]

log = logging.getLogger("tailrace")

_GONE: Final = "gone"
_SETTLED: Final = 10.0
"""Seconds after which nobody can still be summing up an answer that its worker gave before it died."""
_LOOKS: Final = 5


class LastWords:
    """What each worker said last to each question, in `folder`. `name` is this one, told from all who live."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._failing = False

    def begin(self) -> None:
        """Come: what stands under this name was said by one that is dead, whose process had the same number."""
        for path in self._folder.glob(f"*@{self._name}"):
            _set_aside(path)

    def keep(self, question: str, said: str) -> None:
        """Write down what is about to be said. A disk that takes nothing keeps nobody from saying it."""
        path = self._folder / f"{question}@{self._name}"
        try:
            self._folder.mkdir(exist_ok=True)
            _replace(path, said)
            self._failing = False
        except OSError as error:
            if not self._failing:
                log.warning("what this worker has counted cannot be kept for when it is gone: %s", error)
            self._failing = True

    def of_others(self, question: str, answered: Collection[str]) -> list[Mapping[str, Any]]:
        """What everybody said last who has not `answered` now; those names, and this one, are left out."""
        for _ in range(_LOOKS):
            gone = self._gone(question)
            known = {*answered, self._name, *gone["folded"]}
            words = [_read(path) for path in self._words(question) if _who(path) not in known]
            # Where somebody has just folded some of them, they are in neither of the two that were read.
            if all(words) and gone == self._gone(question):
                break
        return [each for each in (gone["said"], *words) if each]

    def fold(self, question: str, fold: Fold, living: Collection[str]) -> None:
        """Make one of what all said last who are dead for a while; `living` are the names of the others."""
        with self._alone() as alone, contextlib.suppress(OSError):  # a full disk: next time, then
            if not alone:
                return  # somebody does it now
            gone, words = self._gone(question), self._words(question)
            known = {*living, self._name, *gone["folded"]}
            folded = [_set_aside(path) for path in words if _who(path) not in known and _age(path) > _SETTLED]
            if folded:
                said = fold([each for each in (gone["said"], *map(_read, folded)) if each])
                names = [_who(path) for path in folded]
                _replace(self._folder / f"{question}.{_GONE}", json.dumps({"said": said, "folded": names}))
            for path in (*folded, *(path for path in words if _who(path) in gone["folded"])):
                path.unlink(missing_ok=True)

    def _words(self, question: str) -> list[Path]:
        return sorted(self._folder.glob(f"{question}@*"))

    def _gone(self, question: str) -> dict[str, Any]:
        return {"said": {}, "folded": [], **_read(self._folder / f"{question}.{_GONE}")}

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Keep others from folding meanwhile; whether this is the one that may."""
        with contextlib.ExitStack() as stack:
            try:
                lock = stack.enter_context((self._folder / "lock").open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text)
    new.replace(path)


def _set_aside(path: Path) -> Path:
    """Give the words of one that is dead a name that nobody will ever have."""
    return path if "-" in _who(path) else path.rename(f"{path}-{secrets.token_hex(4)}")


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):  # folded meanwhile; half a file is never seen
        return {}


def _who(path: Path) -> str:
    return path.name.partition("@")[2]


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
