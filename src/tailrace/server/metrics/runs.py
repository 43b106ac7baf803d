"""What the ends of answers say of the targets behind them: tries, failovers, tokens, the time to the first token.

A caller may name any model of a provider, so only the targets that an operator has named have labels of their own.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from tailrace.chat.gateway import Gateway
from tailrace.chat.models import Target
from tailrace.observe import Meter
from tailrace.runs import Ended

__all__ = ["RunFigures", "named_targets"]

_OTHER: Final = "other"
"""Stands for all models that a caller, but no operator, has named."""


def named_targets(gateway: Gateway) -> frozenset[Target]:
    """The targets that an operator has named, or that stand where none was named."""
    catalog = gateway.catalog
    names = [name for name in (*catalog.names, catalog.default) if name and not name.endswith("/<model>")]
    return frozenset(target for name in names for target in catalog.route(name).targets)


class RunFigures:
    """Hears of the end of each run."""

    def __init__(self, meter: Meter, targets: Collection[Target]) -> None:
        self._meter = meter
        self._labels = {(target.provider, target.model): (target.provider, target.model) for target in targets}

    def __call__(self, ended: Ended) -> None:
        """Count one."""
        account, meter = ended.account, self._meter
        if not account.provider:
            return  # an application's own
        labels = self._labels_of(account.provider, account.model)
        if account.first_token is not None:
            meter.durations("first_token.seconds", labels).observe(account.first_token)
        usage = account.usage
        source = "estimated" if usage["estimated"] else "provider"
        meter.add("target.tokens", usage["input_tokens"], (*labels, "input", source))
        meter.add("target.tokens", usage["output_tokens"], (*labels, "output", source))
        self._count_attempts(account.attempts)

    def _count_attempts(self, attempts: Any) -> None:
        before: tuple[str, str] | None = None
        for attempt in attempts:
            labels = self._labels_of(attempt["provider"], attempt["model"])
            self._meter.add("attempts", 1, (*labels, str(attempt["outcome"])))
            target = attempt["provider"], attempt["model"]
            if before is not None and target != before:
                self._meter.add("failovers", 1, self._labels_of(*before))
            before = target

    def _labels_of(self, provider: str, model: str) -> tuple[str, str]:
        return self._labels.get((provider, model)) or (provider, _OTHER)
