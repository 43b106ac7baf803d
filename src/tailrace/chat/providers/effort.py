"""How much a model is to reason: the levels that OpenAI's APIs know, from whatever an `Ask` says.

A budget in tokens has no counterpart there. It is said as the level whose usual spending comes nearest,
which is the one place where a request is not said exactly in another API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailrace.chat.ask import Ask

__all__ = ["effort_of"]

_LEVELS = ((4096, "low"), (16_384, "medium"))
"""Budgets below the first figure are the level beside it; above all of them it is `high`."""


def effort_of(ask: Ask) -> str | None:
    """Return the level that `ask` names, or that its budget comes to; None where it says neither."""
    if ask.effort is not None or ask.thinking_budget is None:
        return ask.effort
    return next((level for below, level in _LEVELS if ask.thinking_budget < below), "high")
