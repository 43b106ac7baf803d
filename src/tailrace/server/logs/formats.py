"""A log record as one line: JSON for programs, or text for people.

Much of what is logged was said by others: a provider's error, the name of a channel. So no character of it ends a line
or reaches a terminal as a command.
"""

from __future__ import annotations

import json
import logging
import time
from functools import lru_cache
from typing import Any, Final

import msgspec

__all__ = ["JsonLines", "TextLines"]

_CONTROLS: Final = (*range(32), *range(127, 160), 0x2028, 0x2029)
_ESCAPED: Final = {code: f"\\u{code:04x}" for code in _CONTROLS} | {10: "\\n", 13: "\\r", 9: "\\t"}
_INDENTED: Final = {**_ESCAPED, 10: "\n    "}

_STANDARD: Final = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}
"""What every record has; the rest are its own fields. uvicorn adds the message once more, in colours."""
_UNSAID: Final = _STANDARD | {"color_message"}

_encode = msgspec.json.Encoder(enc_hook=repr).encode


@lru_cache(maxsize=4)
def _second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def _stamp(at: float) -> str:
    """A time as RFC 3339 writes it, in UTC."""
    return f"{_second(int(at))}.{int(at % 1 * 1000):03}Z"


def _escaped(text: str) -> str:
    # Most have nothing to escape, and to look costs a twentieth of the other.
    return text if text.isprintable() else text.translate(_ESCAPED)


class JsonLines(logging.Formatter):
    """An object a line: `time`, `level`, `logger`, `message`, whoever speaks, and the record's own fields."""

    def __init__(self, speaker: str = "") -> None:
        super().__init__()
        self._speaker = {"process": speaker} if speaker else {}

    def format(self, record: logging.LogRecord) -> str:
        """Write one line."""
        line: dict[str, Any] = {
            "time": _stamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._speaker,
        }
        for name, value in vars(record).items():
            if name not in _UNSAID:
                line[name if name not in line else f"{name}_"] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            text = _encode(line).decode()
        except (UnicodeEncodeError, TypeError):  # half a surrogate pair, which UTF-8 cannot say; a key that is no text
            text = json.dumps(line, default=repr, skipkeys=True)
        return _escaped(text)


class TextLines(logging.Formatter):
    """Time, level and message. A traceback follows, indented, so that no line of it passes for another message."""

    def __init__(self, speaker: str = "") -> None:
        super().__init__()
        self._speaker = f"{speaker}: " if speaker else ""

    def format(self, record: logging.LogRecord) -> str:
        """Write one line, or a line and its traceback."""
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{at} {record.levelname:<7} {self._speaker}{_escaped(record.getMessage())}"
        if record.exc_info:
            line += "\n    " + self.formatException(record.exc_info).translate(_INDENTED)
        return line
