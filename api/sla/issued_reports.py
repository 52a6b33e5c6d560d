"""Issued SLA reports: stored with all figures, so that they never change. The revision counts the reports of the same
days and scope."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.params import JSONBody, PathParameter
from msgspec import Meta
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

import sql
from api.auth.gatekeeper import actor
from api.auth.permissions import Principal, requires
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable
from api.maintenance.fields import Moment
from api.rest.errors import BODY_ERRORS, ApiError, invalid
from api.rest.injected import Injected
from api.rest.moments import in_utc, iso
from api.rest.pagination import PageNumber, PageSize, Pagination, read_page
from api.rest.preconditions import NOT_MODIFIED, IfNoneMatch
from api.rest.problems import FieldProblem
from api.rest.texts import uuid_or_none
from api.sla.report import FormatName, LanguageName, ReportOperation, language_of, rendered, turn
from sla_monitor.reports import gathering
from sla_monitor.reports.rendering import Renderer
from sla_monitor.reports.request import MOST_NAME, MOST_NAMES, ReportProblem, read_request
from sla_monitor.reports.structure import Report, ReportScope
from sla_monitor.settings import Settings
from sql import Pool, database
from sql.database import Actor

CACHEABLE: tuple[Cacheable, ...] = ()
Names = Annotated[list[Annotated[str, Meta(min_length=1, max_length=MOST_NAME)]], Meta(max_length=MOST_NAMES)]
Text = Annotated[str, Meta(max_length=10)]
ReportPath = Annotated[str, PathParameter(description="The id of an issued report")]


class NewReport(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """What to issue: the parameters of GET /api/sla/report. `public`: a report of public services only, as anonymous
    clients get it. `asOf`: by default now."""

    period: Text | None = None
    from_: Text | None = msgspec.field(name="from", default=None)
    to: Text | None = None
    services: Names = []
    groups: Names = []
    tags: Names = []
    public: bool = False
    as_of: Moment | None = None


class ReportChange(msgspec.Struct):
    """A service whose figures differ from the revision before: the uptimes and verdicts before and after, null if the
    service was not in the report."""

    service: str
    name: str
    uptime: list[str | None]
    verdict: list[str | None]


class IssuedReport(msgspec.Struct, rename="camel", kw_only=True):
    """An issued report. `from` and `to`: its first and last day. `changes`: the differences from the revision
    before."""

    id: UUID
    from_: date = msgspec.field(name="from")
    to: date
    scope: ReportScope
    as_of: str
    revision: int
    author: str
    issued_at: str
    changes: list[ReportChange]


class IssuedResponse(msgspec.Struct):
    report: IssuedReport


class IssuedList(msgspec.Struct):
    reports: list[IssuedReport]
    pagination: Pagination


class IssuedRow(msgspec.Struct, kw_only=True):
    """A row of the queries reports/issued/page and reports/issued/add."""

    id: UUID
    first_day: date
    last_day: date
    scope: dict[str, list[str] | bool]
    as_of: datetime
    revision: int
    author: str
    issued_at: datetime
    changes: list[dict[str, str | list[str | None]]]

    def published(self) -> IssuedReport:
        return IssuedReport(
            id=self.id,
            from_=self.first_day,
            to=self.last_day,
            scope=msgspec.convert(self.scope, ReportScope),
            as_of=iso(self.as_of),
            revision=self.revision,
            author=self.author,
            issued_at=iso(self.issued_at),
            changes=msgspec.convert(self.changes, list[ReportChange]),
        )


class _Stored(msgspec.Struct):
    report: str


@get("/sla/reports", summary="List issued SLA reports", **requires("sla-reports:list", 400))
async def list_reports(pool: Injected[Pool], page: PageNumber = 1, limit: PageSize = 50) -> IssuedList:
    """The issued reports, newest first, each with the services whose uptime or verdict differs from the revision
    before."""
    rows, pagination = await read_page(pool, "reports/issued", IssuedRow, page, limit)
    return IssuedList([row.published() for row in rows], pagination)


@get(
    "/sla/reports/{report_id:str}",
    summary="Get an issued SLA report",
    operation_class=ReportOperation,
    **requires("sla-reports:list", 400, 404, responses=NOT_MODIFIED),
)
async def get_report(
    request: ApiRequest,
    pool: Injected[Pool],
    renderer: Injected[Renderer],
    report_id: ReportPath,
    form: FormatName = "json",
    lang: LanguageName = None,
    if_none_match: IfNoneMatch = None,
) -> Response[Report]:
    """The report with the figures that it was issued with."""
    stored = await database.row(pool, "reports/issued/one", _Stored, id=uuid_or_none(report_id))
    if stored is None:
        raise ApiError(404, "unknown_report")
    report = msgspec.json.decode(stored.report, type=Report)
    async with turn(renderer):
        return await rendered(renderer, report, form, language_of(request, lang), if_none_match)


@post("/sla/reports", summary="Issue an SLA report", **requires("sla-reports:issue", *BODY_ERRORS))
async def issue_report(
    request: ApiRequest,
    pool: Injected[Pool],
    settings: Injected[Settings],
    renderer: Injected[Renderer],
    data: JSONBody[NewReport],
) -> Response[IssuedResponse]:
    """Stores a report with its present figures. Another report of the same days and scope gets the next revision."""
    try:
        async with turn(renderer):
            row = await issue(pool, principal_of(request), actor(request), data, settings.site_title)
    except ReportProblem as problem:
        field = {"service": "services", "group": "groups", "tag": "tags"}.get(problem.field, problem.field)
        raise invalid(FieldProblem.of(field, problem.code, **problem.parameters)) from None
    return Response(
        IssuedResponse(row.published()), status_code=201, headers={"Location": f"/api/sla/reports/{row.id}"}
    )


async def issue(pool: Pool, author: Principal, by: Actor, data: NewReport, site: str) -> IssuedRow:
    """Gathers and stores a report. Raises ReportProblem for an invalid request."""
    scope = ReportScope(
        sorted(set(data.services)), sorted(set(data.groups)), sorted(set(data.tags)), public=data.public
    )
    clock = await gathering.clock(pool)
    as_of = min(in_utc(data.as_of), clock.now) if data.as_of is not None else clock.now
    report = await gathering.gather(
        pool, read_request(data.period, data.from_, data.to, scope, as_of, clock.today), site
    )
    values = {
        "first_day": report.from_,
        "last_day": report.to,
        "scope": Jsonb(msgspec.to_builtins(scope)),
        "as_of": as_of,
        "author": author.name,
        "created_by": author.user_id,
    }
    async with database.transaction(pool, by) as connection:
        await connection.execute("LOCK TABLE sla_reports IN SHARE ROW EXCLUSIVE MODE")
        numbered = await (await connection.execute(sql.query("reports/issued/next_revision"), values)).fetchone()
        assert numbered is not None
        report.revision = values["revision"] = numbered[0]
        values["report"] = Jsonb(msgspec.to_builtins(report))
        async with connection.cursor(row_factory=class_row(IssuedRow)) as cursor:
            await cursor.execute(sql.query("reports/issued/add"), values)
            stored = await cursor.fetchone()
    assert stored is not None
    return stored


router = Router("/api", route_handlers=[list_reports, get_report, issue_report], tags=["sla"])
