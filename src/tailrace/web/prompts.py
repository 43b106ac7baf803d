"""What is asked, in the log: only where an operator wants it there."""

from __future__ import annotations

import logging
from typing import Any

from tailrace.chat.ask import Ask

__all__ = ["log_prompt"]

log = logging.getLogger("tailrace")


def log_prompt(run: str, ask: Ask | None, body: Any = None) -> None:
    """Log what a run was asked: the conversation, or the request's whole `body` where we have no words for it."""
    said = {"system": ask.system, "messages": ask.messages} if ask is not None else body
    log.info("run %s was asked", run, extra={"run": run, "prompt": said})
