"""The files of deploy/ as they are, with nothing changed but addresses and paths, so that tests run what users do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["DEPLOY", "deployed"]

DEPLOY = Path(__file__).parents[2] / "deploy"


def deployed(name: str, changes: Mapping[str, str]) -> str:
    """The text of a file with each of `changes` made; a text that is to be changed has to be there."""
    text = (DEPLOY / name).read_text()
    for old, new in changes.items():
        assert old in text, f"{name} has no {old!r}"
        text = text.replace(old, new)
    return text
