"""The rows of the figures, and what they are in the structure of a report."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from sla_monitor.reports.structure import (
    ReportBudget,
    ReportChecks,
    ReportObjective,
    ReportPart,
    ReportResponseTimes,
    ReportSeconds,
    ServiceReport,
    Verdict,
)


class _SecondsRow(msgspec.Struct, kw_only=True):
    """The columns of both rows. Times are seconds."""

    service_id: str
    policy_id: UUID
    version: int
    target: float
    starts_at: datetime
    ends_at: datetime
    up: float
    degraded: float
    down: float
    unknown: float
    maintenance: float
    excluded: float
    outside_hours: float
    budget: float | None
    spent: float

    @property
    def seconds(self) -> ReportSeconds:
        return ReportSeconds(
            self.up, self.degraded, self.down, self.unknown, self.maintenance, self.excluded, self.outside_hours
        )


class PartRow(_SecondsRow, kw_only=True):
    """A row of reports/parts."""


class LevelRow(_SecondsRow, kw_only=True):
    """A row of reports/levels."""

    uptime: str
    uptime_percent: float | None
    coverage: float | None
    verdict: Verdict | None
    estimated: bool
    outages: int
    longest_outage: float
    mttr: float | None
    mtbf: float | None
    checks: int
    failed_checks: int
    checks_uptime: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    objective_ms: int | None
    objective_share: float | None
    fast_share: float | None
    objective_met: bool | None
    planned: float | None
    left: float | None
    projected_end: datetime | None
    credit: float | None


def part_of(row: PartRow) -> ReportPart:
    return ReportPart(
        row.policy_id,
        row.version,
        row.target,
        row.seconds,
        row.budget or 0.0,
        row.spent,
        row.starts_at,
        row.ends_at,
    )


def level_of(row: LevelRow, **others: Any) -> ServiceReport:
    """The figures of a service. `others`: the fields that are not in the row."""
    objective = None
    if row.objective_ms is not None:
        objective = ReportObjective(row.objective_ms, row.objective_share, row.fast_share, row.objective_met)
    budget = row.budget or 0.0
    left = row.left if row.left is not None else budget - row.spent
    return ServiceReport(
        policy_id=row.policy_id,
        version=row.version,
        target=row.target,
        from_=row.starts_at,
        to=row.ends_at,
        uptime=row.uptime,
        uptime_percent=row.uptime_percent,
        verdict=row.verdict,
        coverage=row.coverage,
        estimated=row.estimated,
        seconds=row.seconds,
        outages=row.outages,
        longest_outage_seconds=row.longest_outage,
        mttr_seconds=row.mttr,
        mtbf_seconds=row.mtbf,
        checks=ReportChecks(row.checks, row.failed_checks, row.checks_uptime),
        response_times=ReportResponseTimes(row.p50_ms, row.p95_ms, row.p99_ms, objective),
        planned_seconds=row.planned,
        budget=ReportBudget(budget, row.spent, left, row.projected_end),
        credit=row.credit,
        **others,
    )
