"""What the doctor says: findings, each with the lines that mend it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Finding", "Level", "Report"]


class Level(StrEnum):
    """How bad it is: a fault loses or delays something, a hint costs something."""

    OK = "ok"
    HINT = "hint"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    `check` is its name for programs, `said` a sentence for people. `mend` has for each proxy (and for `tailrace`, the
    server itself) the lines that help; it is empty where all is well.
    """

    check: str
    level: Level
    said: str
    mend: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        mend = {proxy: list(lines) for proxy, lines in self.mend.items()}
        return {"check": self.check, "level": str(self.level), "said": self.said, "mend": mend}


@dataclass(frozen=True, slots=True)
class Report:
    """What was found at `url` (where redirects led), on a server of `version`; `proxy` is who seems to stand there."""

    url: str
    version: str
    proxy: str | None
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> int:
        """How many findings are faults."""
        return sum(finding.level is Level.FAULT for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        findings = [finding.as_json() for finding in self.findings]
        said = {"url": self.url, "tailrace": self.version, "proxy": self.proxy, "faults": self.faults}
        return {**said, "findings": findings}
