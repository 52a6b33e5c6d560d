"""The structure of an SLA report. It depends on no language: texts are added by the renderers (words.py).

Times are in UTC. Lengths are seconds unless their names say otherwise. Percentages are from 0 to 100.
"""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

Verdict = Literal["met", "missed", "insufficient_data"]
DayState = Literal["none", "outside", "unknown", "excluded", "maintenance", "up", "degraded", "down"]


class ReportScope(msgspec.Struct):
    """What a report is about: the services that are named, in a group or have a tag. Empty lists: all services.
    `public`: public services only, without names of authors and reasons of corrections."""

    services: list[str] = []
    groups: list[str] = []
    tags: list[str] = []
    public: bool = True

    @property
    def everything(self) -> bool:
        return not (self.services or self.groups or self.tags)


class ReportSeconds(msgspec.Struct, rename="camel"):
    """What the elapsed time of a period counts as, in seconds. The sum is the time from the first check, or from the
    start of the period, until its end or now."""

    up: float
    degraded: float
    down: float
    unknown: float
    maintenance: float
    excluded: float
    outside_hours: float


class ReportChecks(msgspec.Struct):
    """The recorded checks. `uptime`: the percentage of those that did not fail, null without checks."""

    total: int
    failed: int
    uptime: float | None


class ReportObjective(msgspec.Struct):
    """The response-time objective: `share` percent of the checks within `ms`. `actual`: the percentage that was."""

    ms: int
    share: float | None
    actual: float | None
    met: bool | None


class ReportResponseTimes(msgspec.Struct):
    """Percentiles of the response times in milliseconds, null without checks."""

    p50: float | None
    p95: float | None
    p99: float | None
    objective: ReportObjective | None


class ReportBudget(msgspec.Struct, rename="camel"):
    """The error budget in seconds: of the whole period, spent, and left (negative if it is exceeded). `projectedEnd`:
    when it will be spent at the pace so far, if that is before the end of the period."""

    total_seconds: float
    spent_seconds: float
    left_seconds: float
    projected_end: datetime | None = None


class ReportPart(msgspec.Struct, rename="camel"):
    """The part of a period to which one policy version applies. `from` is included, `to` is not."""

    policy_id: UUID
    version: int
    target: float
    seconds: ReportSeconds
    budget_seconds: float
    spent_seconds: float
    from_: datetime = msgspec.field(name="from")
    to: datetime


class ReportOutage(msgspec.Struct, rename="camel"):
    """An outage that counts, cut at the bounds of its part. `endsAt`: null while it lasts. `corrections`: the ids of
    those that overlap or adjoin it."""

    starts_at: datetime
    ends_at: datetime | None
    seconds: float
    corrections: list[UUID]


class ReportDay(msgspec.Struct, rename="camel"):
    """`state`: the worst state that counts on the day; `none` before the first check, in the future and without a
    policy."""

    date: date
    state: DayState
    down_seconds: float


class ServiceReport(msgspec.Struct, rename="camel", kw_only=True):
    """The figures of a service. `policyId` and `version`: the latest policy version in the period. `uptime`: in
    percent, rounded down, "-" without data; `uptimePercent` is not rounded. `coverage`: the known share of the time
    that counts.
    `estimated`: a part of the states was computed from aggregates. `outageList`: the longest ones, in the order of
    time. `sql`: the query that returns these figures."""

    id: str
    name: str
    group: str | None
    policy_id: UUID
    version: int
    target: float
    from_: datetime = msgspec.field(name="from")
    to: datetime
    uptime: str
    uptime_percent: float | None
    verdict: Verdict | None
    coverage: float | None
    estimated: bool
    seconds: ReportSeconds
    outages: int
    longest_outage_seconds: float
    mttr_seconds: float | None
    mtbf_seconds: float | None
    checks: ReportChecks
    response_times: ReportResponseTimes
    planned_seconds: float | None
    budget: ReportBudget
    credit: float | None
    parts: list[ReportPart]
    outage_list: list[ReportOutage]
    days: list[ReportDay]
    sql: str


class GroupReport(msgspec.Struct, rename="camel"):
    """The figures of a group; without a name, those of all services. `method`: `worst` or `mean` of its services."""

    name: str | None
    services: int
    method: str | None
    target: float | None
    uptime: str
    uptime_percent: float | None
    coverage: float | None
    verdict: Verdict | None
    outages: int
    budget: ReportBudget | None


class ReportCredit(msgspec.Struct):
    """A service credit of `credit` percent of the fee for an uptime below `below` percent."""

    below: float
    credit: float


class ReportPolicy(msgspec.Struct, rename="camel"):
    """The terms of a policy version that applies in the period. `subject`: null for everything, and for a tag in a
    report of public services. `holidays`: those of its calendar in the period. `words`: the terms as sentences, in the
    language of the response."""

    id: UUID
    version: int
    name: str
    scope: str
    subject: str | None
    valid_from: date
    target: float
    period: str
    rolling_days: int | None
    time_zone: str
    service_hours: list[dict[str, Any]] | None
    holiday_calendar: str | None
    holidays: list[date]
    maintenance: str
    announced_minutes: int
    degraded_weight: float
    unknown: str
    shortest_outage_seconds: int
    quorum: str
    quorum_locations: int | None
    least_coverage: float
    objective_ms: int | None
    objective_share: float | None
    credits: list[ReportCredit] | None
    group_method: str
    words: list[str] = []


class ReportIncident(msgspec.Struct, rename="camel"):
    """`endsAt`: null while it is not resolved. `services`: those of the report that it affects."""

    id: str
    title: str
    status: str
    severity: str
    starts_at: datetime
    ends_at: datetime | None
    services: list[str]


class ReportMaintenance(msgspec.Struct, rename="camel"):
    """An occurrence of a maintenance window. `announcedAt`: when it was announced first."""

    id: str
    title: str
    starts_at: datetime
    ends_at: datetime
    announced_at: datetime | None
    services: list[str]


class ReportCorrection(msgspec.Struct, rename="camel"):
    """A correction. `startsAt` and `endsAt`: of its occurrences in the period. `author` and `reason`: null in a report
    of public services."""

    id: UUID
    effect: str
    category: str
    scope: str
    subject: str | None
    reason: str | None
    author: str | None
    created_at: datetime
    starts_at: datetime
    ends_at: datetime
    occurrences: int
    services: list[str]


class ReportName(msgspec.Struct):
    id: str
    name: str


class ReportSummary(msgspec.Struct, rename="camel"):
    """The number of services by verdict. `noData`: those without any data in the period. `withoutPolicy`: services of
    the scope to which no policy applies; they have no figures."""

    services: int
    met: int
    missed: int
    insufficient_data: int
    no_data: int
    without_policy: list[ReportName]


class Report(msgspec.Struct, rename="camel", kw_only=True):
    """An SLA report. `from` and `to`: the first and the last day, in the time zone of each policy. `zone`: the time
    zone of times in other formats than JSON. `asOf`: policies, corrections and announcements are those known at this
    time; null: at `generatedAt`. `revision`: of an issued report. `title`: in the language of the response."""

    title: str = ""
    site: str
    from_: date = msgspec.field(name="from")
    to: date
    zone: str
    generated_at: datetime
    as_of: datetime | None
    revision: int | None = None
    scope: ReportScope
    summary: ReportSummary
    groups: list[GroupReport]
    services: list[ServiceReport]
    policies: list[ReportPolicy]
    incidents: list[ReportIncident]
    maintenance: list[ReportMaintenance]
    corrections: list[ReportCorrection]
