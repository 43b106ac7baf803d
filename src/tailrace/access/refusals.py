"""Why nobody can be told to be calling: a credential that is not believed, or one that cannot be judged now."""

from __future__ import annotations

from tailrace.errors import TailraceError

__all__ = ["CannotTell", "CredentialRefused"]


class CredentialRefused(TailraceError):
    """A credential that is not believed; the text says why, and never repeats it."""


class CannotTell(TailraceError):
    """What a credential is judged by cannot be had now; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after
