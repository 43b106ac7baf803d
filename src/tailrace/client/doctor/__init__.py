"""The doctor: does what lies between here and a server deliver events at once, and what has to be changed if not?

    report = await examine(Visit("https://chat.example.com"))
    for finding in report.findings:
        print(finding.level, finding.check, finding.said)

`measuring` asks the server's probe and notes what happened (`facts`), `judging` makes findings of that, `mending`
knows the line that helps, for each proxy. Nothing is printed here. It needs the extra `client`.
"""

from __future__ import annotations

from tailrace.client.doctor.judging import judge
from tailrace.client.doctor.measuring import Visit, measure
from tailrace.client.doctor.pressing import MEGABYTES
from tailrace.client.doctor.refusing import NotExamined
from tailrace.client.doctor.report import Finding, Level, Report

__all__ = ["MEGABYTES", "Finding", "Level", "NotExamined", "Report", "Visit", "examine"]


async def examine(visit: Visit) -> Report:
    """Measure and judge; it takes about `visit.quiet` seconds, and five at least. Raises `NotExamined`."""
    return judge(visit, await measure(visit))
