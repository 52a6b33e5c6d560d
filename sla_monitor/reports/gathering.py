"""Gathers the figures of a report from the database, in one snapshot. The statements are in sql/queries/reports."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from psycopg.rows import class_row

import sql
from sla_monitor.reports.request import (
    MOST_EVENTS,
    MOST_OUTAGES,
    MOST_SERVICE_DAYS,
    MOST_SERVICES,
    UNKNOWN,
    ReportProblem,
    ReportRequest,
)
from sla_monitor.reports.rows import LevelRow, PartRow, level_of, part_of
from sla_monitor.reports.structure import (
    DayState,
    GroupReport,
    Report,
    ReportBudget,
    ReportCorrection,
    ReportCredit,
    ReportDay,
    ReportIncident,
    ReportMaintenance,
    ReportName,
    ReportOutage,
    ReportPart,
    ReportPolicy,
    ReportSummary,
    ServiceReport,
    Verdict,
)
from sql import Pool, database
from sql.database import Connection

STEPS = 9
"""The number of calls of `progress`."""
Progress = Callable[[], None]
Row = TypeVar("Row")


class Clock(msgspec.Struct):
    """The present time, and the zone and the day of the installation."""

    now: datetime
    zone: str
    today: date


class _Unknown(msgspec.Struct):
    field: str
    name: str


class _ServiceRow(msgspec.Struct):
    """A row of reports/services. `first_day`: the day of the first check, in the zone of the installation."""

    id: str
    name: str
    group_name: str | None
    deleted: bool
    first_day: date | None


class _GroupRow(msgspec.Struct):
    name: str | None
    services: int
    method: str | None
    target: float | None
    uptime: str
    uptime_percent: float | None
    coverage: float | None
    verdict: Verdict | None
    budget: float | None
    spent: float | None
    left: float | None
    outages: int | None


class _SpansRow(msgspec.Struct):
    service_id: str
    states: list[DayState]
    down_seconds: list[float]
    outages: list[dict[str, Any]]


async def clock(pool: Pool) -> Clock:
    """The present time, for the default period."""
    found = await database.row(pool, "reports/clock", Clock)
    assert found is not None
    return found


async def gather(pool: Pool, request: ReportRequest, site: str, progress: Progress = lambda: None) -> Report:
    """The report for a request. `site`: the name of the installation. `progress` is called STEPS times. Raises
    ReportProblem for an unknown name, a period before the first check, and a report that is too large."""
    async with database.live_connection(pool) as connection, connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return await _Gathering(connection, request, progress).report(site)


class _Gathering:
    """The queries of one report."""

    def __init__(self, connection: Connection, request: ReportRequest, progress: Progress) -> None:
        self._connection = connection
        self._request = request
        self._scope = request.scope
        self._progress = progress
        self._values: dict[str, Any] = {
            "first_day": request.from_,
            "last_day": request.to,
            "internal": not request.scope.public,
            "public_only": request.scope.public,
            "services": request.scope.services,
            "groups": request.scope.groups,
            "tags": request.scope.tags,
            "everything": request.scope.everything,
        }

    async def report(self, site: str) -> Report:
        [clock] = await self._rows("clock", Clock)
        self._values["known_at"] = min(self._request.as_of or clock.now, clock.now)
        services = await self._services()
        levels = await self._rows("levels", LevelRow, service_ids=[row.id for row in services])
        self._set_bounds(levels, clock)
        self._values["service_ids"] = [row.service_id for row in levels]
        parts = await self._parts()
        spans = {row.service_id: row for row in await self._rows("spans", _SpansRow, most=MOST_OUTAGES)}
        by_id = {row.service_id: row for row in levels}
        reported = [
            self._service(row, by_id[row.id], parts.get(row.id, []), spans.get(row.id))
            for row in services
            if row.id in by_id
        ]
        without = [ReportName(row.id, row.name) for row in services if row.id not in by_id and not row.deleted]
        return Report(
            site=site,
            from_=self._request.from_,
            to=self._request.to,
            zone=clock.zone,
            generated_at=clock.now,
            as_of=self._request.as_of,
            scope=self._scope,
            summary=_summary(reported, without),
            groups=await self._groups(services),
            services=reported,
            policies=await self._policies(parts),
            incidents=await self._rows("incidents", ReportIncident, limit=MOST_EVENTS),
            maintenance=await self._rows("maintenance", ReportMaintenance, limit=MOST_EVENTS),
            corrections=await self._rows("corrections", ReportCorrection, limit=MOST_EVENTS),
        )

    async def _rows(self, name: str, row_type: type[Row], **values: Any) -> list[Row]:
        async with self._connection.cursor(row_factory=class_row(row_type)) as cursor:
            await cursor.execute(sql.query(f"reports/{name}"), self._values | values)
            found = await cursor.fetchall()
        self._progress()
        return found

    async def _services(self) -> list[_ServiceRow]:
        """The services of the scope. Raises ReportProblem if a name is unknown, if there are too many, and if the
        period ends before their first check."""
        if not self._scope.everything:
            for unknown in await self._rows("unknown", _Unknown):
                raise ReportProblem(unknown.field, UNKNOWN[unknown.field])
        found = await self._rows("services", _ServiceRow, limit=MOST_SERVICES + 1)
        days = (self._request.to - self._request.from_).days + 1
        if len(found) > MOST_SERVICES or len(found) * days > MOST_SERVICE_DAYS:
            raise ReportProblem(
                self._request.field, "report_too_large", services=MOST_SERVICES, service_days=MOST_SERVICE_DAYS
            )
        first = min((row.first_day for row in found if row.first_day is not None), default=None)
        if first is not None and self._request.to < first:
            raise ReportProblem(self._request.field, "before_first_checks", first=first.isoformat())
        return found

    def _set_bounds(self, levels: list[LevelRow], clock: Clock) -> None:
        """Sets the bounds of the period for incidents, maintenance and corrections: those of all figures."""
        day = timedelta(days=1)
        midnight = datetime.combine(self._request.from_, datetime.min.time(), clock.now.tzinfo)
        self._values["starts_at"] = min((row.starts_at for row in levels), default=midnight)
        self._values["ends_at"] = max(
            (row.ends_at for row in levels), default=midnight + (self._request.to - self._request.from_) + day
        )

    async def _parts(self) -> dict[str, list[ReportPart]]:
        parts: dict[str, list[ReportPart]] = {}
        for row in await self._rows("parts", PartRow):
            parts.setdefault(row.service_id, []).append(part_of(row))
        return parts

    async def _policies(self, parts: dict[str, list[ReportPart]]) -> list[ReportPolicy]:
        applied: list[tuple[UUID, int]] = sorted(
            {(part.policy_id, part.version) for row in parts.values() for part in row}
        )
        ids, versions = [policy_id for policy_id, _ in applied], [version for _, version in applied]
        found = await self._rows("policies", ReportPolicy, policy_ids=ids, versions=versions)
        for terms in found:
            terms.credits = msgspec.convert(terms.credits, list[ReportCredit] | None)  # dicts in the row
            if self._scope.public and terms.scope == "tag":
                terms.subject = None
        return found

    async def _groups(self, services: list[_ServiceRow]) -> list[GroupReport]:
        """The groups whose services are all in the scope: of a report of single services or tags there are none."""
        if self._scope.services or self._scope.tags:
            return []
        rows = await self._rows("groups", _GroupRow)
        wanted = [row for row in rows if self._scope.everything or row.name in self._scope.groups]
        return [_group(row) for row in wanted]

    def _service(
        self, row: _ServiceRow, level: LevelRow, parts: list[ReportPart], spans: _SpansRow | None
    ) -> ServiceReport:
        states = zip(spans.states, spans.down_seconds, strict=True) if spans else ()
        first = self._request.from_
        return level_of(
            level,
            id=row.id,
            name=row.name,
            group=row.group_name,
            parts=parts,
            outage_list=msgspec.convert(spans.outages if spans else [], list[ReportOutage]),
            days=[ReportDay(first + timedelta(days=n), state, seconds) for n, (state, seconds) in enumerate(states)],
            sql=statement(self._request, row.id),
        )


def statement(request: ReportRequest, service_id: str) -> str:
    """The SQL that returns the figures of a service, for readers. The id of a service is a slug, so it needs no
    escaping."""
    days = f"'{request.from_}', '{request.to}'"
    if request.as_of is None:
        return f"SELECT * FROM analytics.sla_v1({days}) WHERE service_id = '{service_id}';"  # noqa: S608
    return f"SELECT * FROM sla_levels('{{{service_id}}}', {days}, '{request.as_of.isoformat()}');"  # noqa: S608


def _group(row: _GroupRow) -> GroupReport:
    budget = None
    if row.budget is not None:
        spent = row.spent or 0.0
        budget = ReportBudget(row.budget, spent, row.left if row.left is not None else row.budget - spent)
    return GroupReport(
        row.name,
        row.services,
        row.method,
        row.target,
        row.uptime,
        row.uptime_percent,
        row.coverage,
        row.verdict,
        row.outages or 0,
        budget,
    )


def _summary(services: list[ServiceReport], without: list[ReportName]) -> ReportSummary:
    verdicts = [service.verdict for service in services]
    return ReportSummary(
        services=len(services),
        met=verdicts.count("met"),
        missed=verdicts.count("missed"),
        insufficient_data=verdicts.count("insufficient_data"),
        no_data=verdicts.count(None),
        without_policy=without,
    )
