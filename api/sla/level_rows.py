"""The rows of the queries of service levels. Times are seconds, shares and uptimes are percentages."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from api.sla.subjects import Scope

Verdict = Literal["met", "missed", "insufficient_data"]


class SecondsRow(msgspec.Struct, kw_only=True):
    """What the elapsed time counts as."""

    up: float
    degraded: float
    down: float
    unknown: float
    maintenance: float
    excluded: float
    outside_hours: float


class PartRow(SecondsRow, kw_only=True):
    """A row of sla/parts."""

    policy_id: UUID
    version: int
    scope: Scope
    name: str
    target: float
    low: datetime
    high: datetime
    spent: float
    budget: float


class LevelRow(SecondsRow, kw_only=True):
    """A row of sla/level."""

    target: float
    ends_at: datetime
    uptime: str
    verdict: Verdict | None
    coverage: float | None
    estimated: bool
    outages: int
    longest: float
    mttr: float | None
    mtbf: float | None
    checks: int
    failed_checks: int
    checks_uptime: str
    p50: float | None
    p95: float | None
    p99: float | None
    objective_ms: int | None
    objective_share: float | None
    fast_share: float | None
    objective_met: bool | None
    budget: float
    spent: float
    left: float
    projected_end: datetime | None
    credit: float | None


class RateRow(msgspec.Struct):
    """A row of sla/burn_rates."""

    seconds: int
    rate: float | None
