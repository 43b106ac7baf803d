"""A secret: where its text comes from, and a value that does not show itself.

Settings name a secret (`env:NAME`, `file:PATH`), they never hold one: a settings file is read by
more eyes, and kept in more places, than the key of a paid account should be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Secret", "read_reference", "resolve"]


class Secret:
    """A text that is not in its own `repr`, so that neither a log nor a traceback shows it."""

    __slots__ = ("_text",)

    _text: str

    def __init__(self, text: str) -> None:
        """Hold `text`. Raises SettingsError where it is empty or could not be sent in a header."""
        if not text:
            raise SettingsError("the secret is empty")
        if not (text.isascii() and text.isprintable()):
            raise SettingsError("the secret has characters that no header can carry")
        object.__setattr__(self, "_text", text)

    def reveal(self) -> str:
        """Return the text itself, for the one place that sends it."""
        return self._text

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a {type(self).__name__} cannot be changed")

    def __repr__(self) -> str:
        return "Secret('****')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))


def resolve(reference: object, environ: Mapping[str, str], folder: Path) -> Secret:
    """Read the secret that `reference` names. Raises SettingsError as `read_reference` does, and as `Secret`."""
    text = read_reference(reference, environ, folder)
    try:
        return Secret(text)
    except SettingsError as problem:
        raise SettingsError(f"{_shown(str(reference), folder)}: {problem}") from None


def read_reference(reference: object, environ: Mapping[str, str], folder: Path) -> str:
    """Read the text that `reference` names, without blanks around it; a relative `file:` starts in `folder`.

    Raises SettingsError where it is no reference or names nothing. The message never repeats a
    reference of unknown form: it may be the secret itself.
    """
    scheme, _, name = reference.partition(":") if isinstance(reference, str) else ("", "", "")
    if scheme == "env" and name:
        return _from_environment(name, environ)
    if scheme == "file" and name:
        return _from_file(folder / name)
    raise SettingsError('expected "env:NAME" or "file:PATH" (the secret itself does not belong in a settings file)')


def _shown(reference: str, folder: Path) -> str:
    scheme, _, name = reference.partition(":")
    return f"the environment variable {name}" if scheme == "env" else f"the file {folder / name}"


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise SettingsError(f"the environment variable {name} is not set")
    return environ[name].strip()


def _from_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as problem:
        raise SettingsError(f"the file {path} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"the file {path} is not text") from None
