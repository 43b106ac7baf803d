"""Where a command writes: data to standard output, remarks, dimly, to standard error."""

from __future__ import annotations

import os
import sys
from typing import Final

import click

__all__ = ["ReaderGone", "note", "write"]

# Others wrote what we print: on a terminal, their escape sequences would move the cursor or set its title.
_CONTROLS: Final = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


class ReaderGone(Exception):
    """Whoever read standard output has closed it (`| head`). It is no OSError: click ends the process for those."""


def write(text: str, *, end: str = "\n") -> None:
    """Write data to standard output, at once. Raises ReaderGone where nobody reads it any more."""
    shown = text.translate(_CONTROLS) if sys.stdout.isatty() else text
    # JSON can spell half a surrogate pair, and a terminal may have another encoding than UTF-8.
    encoding = sys.stdout.encoding
    line = (shown + end).encode(encoding, "replace").decode(encoding)
    try:
        sys.stdout.write(line)
        sys.stdout.flush()
    except BrokenPipeError:
        raise ReaderGone from None


def note(text: str, *, end: str = "\n") -> None:
    """Write a remark to standard error, dimly where it is a terminal."""
    dim = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    click.secho(text.translate(_CONTROLS) + end, err=True, dim=dim or None, nl=False)
