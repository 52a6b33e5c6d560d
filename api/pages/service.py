"""/services/{id}: the page of one service, with its state, uptimes, days, response times, outages and badges.

A private service has a page for users only; others get the same 404 as for an unknown service. The requests of its
scripts are below the same path and count against RATE_LIMIT_PAGES, not RATE_LIMIT_API.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, NamedTuple

import msgspec
from litestar import Router, get
from litestar.params import FromPath, QueryParameter
from litestar.response import Template

from api.auth.permissions import Principal, allows, sees_internal, shown_to
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable, Change
from api.incidents import records
from api.incidents.filters import UNRESOLVED
from api.pages.day_strips import strip_of
from api.pages.shown_incidents import ShownIncident, shown
from api.pages.site import Site, page, page_texts
from api.pages.sla_section import section
from api.rest.errors import ApiError
from api.rest.injected import Injected
from api.rest.moments import FromMoment, ToMoment
from api.rest.pagination import Pagination
from api.services.names import ServiceName, is_slug
from api.uptime.calendar import Day, begun_days, calendar_rows
from api.uptime.response_times import ResponseTimes, Step, last_24_hours, measured, selection
from api.uptime.status import DAYS, ServiceState
from sql import Pool, database

_CHANGES: frozenset[Change] = frozenset({"checks", "event", "services"})
CACHEABLE = (
    Cacheable("/services/", _CHANGES, frozenset({"page"}), personal=True, page=True, absolute=True),
    Cacheable("/services/*/days", _CHANGES, personal=True, page=True),
    Cacheable(
        "/services/*/response-times",
        frozenset({"checks", "services"}),
        frozenset({"from", "to", "step"}),
        personal=True,
        page=True,
    ),
)
OUTAGES_A_PAGE = 10
LATEST_CHECKS = 50
MAX_INCIDENTS = 20
MONTHS_OF_DAYS = 4
"""The current month and the three before it, which have at least `DAYS` days."""
SOON_DAYS, VERY_SOON_DAYS = 30, 7
BADGES = ("status", "uptime", "response")
PageNumber = Annotated[int, QueryParameter(name="page", ge=1, le=1_000_000)]


class Service(msgspec.Struct):
    """The service, its state and its certificate."""

    id: str
    name: str
    description: str | None
    group: str | None
    state: ServiceState
    since: datetime
    checked_at: datetime | None
    interval_seconds: int
    certificate_expires_at: datetime | None
    certificate_issuer: str | None
    public: bool
    enabled: bool

    @property
    def named(self) -> ServiceName:
        return ServiceName(self.id, self.name)

    def certificate(self, now: datetime) -> "Certificate | None":
        if self.certificate_expires_at is None:
            return None
        days = (self.certificate_expires_at - now) // timedelta(days=1)
        state: ServiceState = "outage" if days < VERY_SOON_DAYS else "degraded" if days < SOON_DAYS else "operational"
        return Certificate(self.certificate_expires_at, self.certificate_issuer, days, state)


class Certificate(NamedTuple):
    """`days`: whole days until it expires, negative afterwards. `state`: the state whose style is used."""

    expires_at: datetime
    issuer: str | None
    days: int
    state: ServiceState


class UptimeRow(msgspec.Struct):
    """The uptime of the last `days`. `coverage`: the fraction of the time with data."""

    days: int
    starts_at: datetime
    uptime: str
    coverage: float
    downtime_seconds: int
    first_at: datetime | None

    @property
    def known(self) -> str | None:
        """The coverage in percent with two decimals; None for full coverage."""
        return None if self.coverage >= 1 else f"{self.coverage * 100:.2f}"


class OutageRow(msgspec.Struct):
    started_at: datetime
    ended_at: datetime | None
    duration_seconds: int
    error_type: str | None
    error_message: str | None


class CheckRow(msgspec.Struct):
    """A check. Phases are in milliseconds, None for one that did not occur."""

    scheduled_at: datetime
    location: str
    severity: Literal["o", "po", "mo"]
    status_code: int | None
    total_ms: float
    dns_ms: float | None
    connect_ms: float | None
    tls_ms: float | None
    first_byte_ms: float | None
    attempts: int
    error_type: str | None
    error_message: str | None


class Days(msgspec.Struct):
    """The last `DAYS` days of a service, oldest first, as in the calendar."""

    service: ServiceName
    days: list[Day]


class Badge(NamedTuple):
    kind: str
    url: str
    markdown: str
    html: str


async def visible(pool: Pool, service_id: str, user: Principal | None) -> Service:
    """The service, if `user` may see it. Raises the same 404 for a private service and for an unknown one."""
    found = None
    if is_slug(service_id):
        found = await database.row(pool, "service_page/page", Service, service_id=service_id)
    if found is None or not (found.public or sees_internal(user)):
        raise ApiError(404, "unknown_service_id")
    return found


async def last_days(pool: Pool, service: Service, internal: bool) -> list[Day]:
    """The days for `Days`; the last one is today."""
    return begun_days(await calendar_rows(pool, service.named, MONTHS_OF_DAYS, None, internal))[-DAYS:]


async def outages(pool: Pool, service: Service, number: int) -> tuple[list[OutageRow], Pagination]:
    """One page of the outages, numbered from 1. Raises 404 after the last page."""
    total = await database.count(pool, "service_page/outage_count", service_id=service.id)
    pagination = Pagination.of(number, OUTAGES_A_PAGE, total)
    if number > max(pagination.total_pages, 1):
        raise ApiError(404)
    offset = (number - 1) * OUTAGES_A_PAGE
    values = {"service_id": service.id, "limit": OUTAGES_A_PAGE, "offset": offset}
    return await database.rows(pool, "service_page/outages", OutageRow, **values), pagination


async def open_incidents(pool: Pool, service: Service, principal: Principal | None) -> list[ShownIncident]:
    """The unresolved incidents that affect the service, newest first."""
    row = await records.listed(pool, principal, UNRESOLVED._replace(services=[service.id]), MAX_INCIDENTS)
    return shown(row.incidents)


async def latest_checks(pool: Pool, service: Service, user: Principal | None) -> list[CheckRow] | None:
    """The latest checks; None for users who may not see checks, whose errors can contain internal data."""
    if not allows(user, "checks:read"):
        return None
    values = {"service_id": service.id, "limit": LATEST_CHECKS}
    return await database.rows(pool, "service_page/latest_checks", CheckRow, **values)


def badges(address: str, service: Service) -> list[Badge]:
    """The code that embeds the badges of a public service. It has the id, not the name, which would need escaping."""
    found = []
    for kind in BADGES:
        url, target = f"{address}/badges/{service.id}/{kind}.svg", f"{address}/services/{service.id}"
        markdown = f"[![{service.id} {kind}]({url})]({target})"
        found.append(Badge(kind, url, markdown, f'<a href="{target}"><img src="{url}" alt="{service.id} {kind}"></a>'))
    return found


@get("/services/{service_id:str}", **shown_to("pages:read"))
async def service_page(
    request: ApiRequest,
    pool: Injected[Pool],
    site: Injected[Site],
    service_id: FromPath[str],
    number: PageNumber = 1,
) -> Template:
    user = request.user
    service = await visible(pool, service_id, user)
    internal, now = sees_internal(user), datetime.now(UTC)
    listed, pagination = await outages(pool, service, number)
    times = await last_24_hours(pool, service.named, now)
    shown_days = await last_days(pool, service, internal)
    uptimes = await database.rows(pool, "service_page/uptimes", UptimeRow, service_id=service.id)
    uptime = next(row.uptime for row in uptimes if row.days == DAYS)
    return await page(
        request,
        "service.html",
        service=service,
        uptimes=uptimes,
        first_at=uptimes[-1].first_at,
        days=msgspec.to_builtins(shown_days),
        strip=strip_of(
            await page_texts(request),
            [day.status for day in shown_days],
            uptime,
            shown_days[-1].date,
        ),
        times=times,
        period=(datetime.fromisoformat(times.from_), datetime.fromisoformat(times.to)),
        hours=[(datetime.fromisoformat(point.time), point) for point in times.series],
        outages=listed,
        pagination=pagination,
        incidents=await open_incidents(pool, service, request.user),
        certificate=service.certificate(now),
        sla=await section(pool, service.id),
        checks=await latest_checks(pool, service, user),
        badges=badges(site.address(request), service) if service.public else [],
    )


@get("/services/{service_id:str}/days", **shown_to("pages:read"))
async def days(request: ApiRequest, pool: Injected[Pool], service_id: FromPath[str]) -> Days:
    """The details of the days in a strip."""
    service = await visible(pool, service_id, request.user)
    return Days(service.named, await last_days(pool, service, sees_internal(request.user)))


@get("/services/{service_id:str}/response-times", **shown_to("pages:read"))
async def response_times(
    request: ApiRequest,
    pool: Injected[Pool],
    service_id: FromPath[str],
    from_: FromMoment = None,
    to: ToMoment = None,
    step: Step = None,
) -> ResponseTimes:
    """The data of the chart: as /api/response-times/{id}, but also for private services and with the session
    cookie."""
    selected = selection(from_, to, step)
    service = await visible(pool, service_id, request.user)
    return await measured(pool, service.named, selected)


router = Router("/", route_handlers=[service_page, days, response_times], include_in_schema=False)
