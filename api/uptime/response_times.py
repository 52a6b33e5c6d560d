"""Response times of one service in a window: counts, averages, percentiles, and a series of points.

The step determines the source. Steps below 15 minutes read raw checks; the window has at most 48 hours and is exact.
Longer steps read the rollups of 15 minutes, an hour or a day; the window is widened to whole buckets, and percentiles
come from logarithmic bins, within 2 % of the nearest rank.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, NamedTuple

import msgspec
from litestar import Router, get
from litestar.params import QueryParameter

from api.auth.permissions import requires
from api.cache.entries import Cacheable
from api.rest.errors import invalid, raise_problems
from api.rest.injected import Injected
from api.rest.moments import FromMoment, ToMoment, iso, read_moment, year_problems
from api.rest.problems import FieldProblem
from api.services.names import ServiceName, ServicePath
from api.uptime.calendar import public_service
from sql import Pool, database

CACHEABLE = (Cacheable("/api/response-times/", frozenset({"checks", "services"}), frozenset({"from", "to", "step"})),)
MAX_POINTS = 1500
DEFAULT_POINTS = 150
"""The default step makes at most this many points."""
QUARTER_S, HOUR_S, DAY_S = 900, 3600, 86400
MAX_RAW_S = 48 * HOUR_S
STEPS_S = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 7 * 86400, 30 * 86400)
Step = Annotated[int | None, QueryParameter(ge=1, le=366 * DAY_S, description="Seconds between two points")]
Tier = Literal["raw", "15m", "hourly", "daily"]


class Phases(msgspec.Struct, rename="camel"):
    """The average phases of successful checks in milliseconds. `firstByte`: from the end of the request to the first
    byte of the response. `transfer`: the rest of the response. A phase that does not occur, such as TLS for http://, is
    0."""

    dns: float
    connect: float
    tls: float
    first_byte: float
    transfer: float


class Point(msgspec.Struct):
    """The step that begins at `time`. `count`: all checks; `errors`: failed checks. Averages and percentiles are
    milliseconds of successful checks, null if there are none."""

    time: str
    count: int
    errors: int
    avg: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    phases: Phases | None


class ResponseTimes(msgspec.Struct):
    """The figures of the whole window, and its points. Averages, extremes and percentiles are milliseconds of
    successful checks, null if there are none. `series` has no point for a step without a check."""

    service: ServiceName
    from_: str = msgspec.field(name="from")
    to: str
    count: int
    errors: int
    avg: float | None
    min: float | None
    max: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    phases: Phases | None
    series: list[Point]


class PointRow(msgspec.Struct):
    """A row of the queries in response_times/: a point, or the whole window if `time` is None. `low` and `high`: the
    window that was read."""

    time: datetime | None
    low: datetime
    high: datetime
    checks: int
    errors: int
    avg: float | None
    min: float | None
    max: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    dns: float | None
    connect: float | None
    tls: float | None
    first_byte: float | None
    transfer: float | None

    def phases(self) -> Phases | None:
        """None without a successful check."""
        phases = (self.dns, self.connect, self.tls, self.first_byte, self.transfer)
        measured = [ms for ms in phases if ms is not None]
        return Phases(*measured) if measured else None


def default_step(window_s: float) -> int:
    """The shortest step of STEPS_S, in seconds, that makes at most `DEFAULT_POINTS` points and is allowed for the
    window."""
    usable = STEPS_S if window_s <= MAX_RAW_S else [step for step in STEPS_S if step >= QUARTER_S]
    return next((step for step in usable if window_s / step <= DEFAULT_POINTS), DAY_S * 365)


def tier(step: int, window_s: float) -> Tier:
    """The source for a step in seconds. Raises 400 for a step that makes too many points or is not allowed for the
    window."""
    if window_s / step > MAX_POINTS:
        raise invalid(FieldProblem.of("step", "step_points", most=MAX_POINTS))
    if step < QUARTER_S:
        if window_s > MAX_RAW_S:
            raise invalid(FieldProblem.of("step", "step_window", step=QUARTER_S, hours=MAX_RAW_S // HOUR_S))
        return "raw"
    if step % QUARTER_S:
        raise invalid(FieldProblem.of("step", "step_multiple", step=QUARTER_S))
    if step % HOUR_S:
        return "15m"
    return "hourly" if step % DAY_S else "daily"


def window(from_: datetime | None, to: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """The requested window; by default the 24 hours up to the next whole second. Raises 400 for an invalid window."""
    raise_problems(year_problems("from", from_) + year_problems("to", to))
    end = to or now.replace(microsecond=0) + timedelta(seconds=1)
    start = from_ or end - timedelta(days=1)
    if start >= end:
        raise invalid(FieldProblem.of("from", "before_to"))
    return start, end


class Selection(NamedTuple):
    """A window, its step in seconds, and the source of its data."""

    start: datetime
    end: datetime
    step: int
    tier: Tier


def selection(from_: str | None, to: str | None, step: int | None) -> Selection:
    """The selection that the query parameters of a request describe. Raises 400 for invalid values."""
    start, end = window(read_moment("from", from_), read_moment("to", to), datetime.now(UTC))
    window_s = (end - start).total_seconds()
    step = step or default_step(window_s)
    return Selection(start, end, step, tier(step, window_s))


async def measured(pool: Pool, service: ServiceName, selected: Selection) -> ResponseTimes:
    """The response times of a service. The caller has checked that the client may see the service."""
    step = timedelta(seconds=selected.step)
    name = "response_times/raw" if selected.tier == "raw" else "response_times/rollups"
    values = {"service_id": service.id, "start": selected.start, "end": selected.end}
    values |= {"step": step, "tier": selected.tier}
    total, *points = await database.rows(pool, name, PointRow, **values)
    return ResponseTimes(
        service=service,
        from_=iso(total.low),
        to=iso(total.high),
        count=total.checks,
        errors=total.errors,
        avg=total.avg,
        min=total.min,
        max=total.max,
        p50=total.p50,
        p95=total.p95,
        p99=total.p99,
        phases=total.phases(),
        series=[
            Point(iso(row.time), row.checks, row.errors, row.avg, row.p50, row.p95, row.p99, row.phases())
            for row in points
            if row.time is not None
        ],
    )


async def last_24_hours(pool: Pool, service: ServiceName, now: datetime) -> ResponseTimes:
    """The 24 hours up to `now` with a point for each hour, from the rollups of 15 minutes, for badges and the page of a
    service."""
    times = await measured(pool, service, Selection(now - timedelta(days=1), now, HOUR_S, "15m"))
    return msgspec.structs.replace(times, to=iso(now))  # the last bucket ends in the future


@get(
    "/response-times/{service_id:str}",
    summary="Get the response times of a service",
    **requires("status:read", 400, 404),
)
async def response_times(
    pool: Injected[Pool],
    service_id: ServicePath,
    from_: FromMoment = None,
    to: ToMoment = None,
    step: Step = None,
) -> ResponseTimes:
    """Counts, averages and percentiles in milliseconds, for the whole window and for each step. `from` and `to`: RFC
    3339 times with a zone (`+` written as `%2B`), by default the last 24 hours. `step`: seconds, by default so that
    there are at most 150 points. A step below 900 reads single checks of at most 48 hours. Longer steps are multiples
    of 900, and the window is widened to whole steps of 15 minutes, an hour or a day; the response contains the widened
    window. 400 for more than 1500 points. 404 for an unknown or private service."""
    selected = selection(from_, to, step)
    return await measured(pool, await public_service(pool, service_id), selected)


router = Router("/api", route_handlers=[response_times], tags=["status"])
