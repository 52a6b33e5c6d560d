"""Response times of one service over any window: how many, how fast, percentiles, and a series of points.

The step decides what is read. Below 15 minutes it is the raw checks, in a window of at most 48 hours and exactly as
asked for. From 15 minutes, an hour or a day on it is the tier of the rollups of that width, and the window is widened
to whole buckets. Percentiles come from logarithmic bins everywhere: within 2 % of the nearest rank.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, NamedTuple

import msgspec
from litestar import Router, get
from litestar.params import FromPath, QueryParameter

from api.auth.permissions import requires
from api.cache.entries import Cacheable
from api.rest.errors import invalid, responses
from api.rest.injected import Injected
from api.rest.moments import FromMoment, ToMoment, iso, read_moment
from api.rest.problems import FieldProblem
from api.services.fields import ServiceName
from api.uptime.calendar import public_service
from sql import Pool, database

CACHEABLE = (Cacheable("/api/response-times/", frozenset({"checks", "services"}), frozenset({"from", "to", "step"})),)
MOST_POINTS = 1500
AIMED_POINTS = 150
QUARTER_S, HOUR_S, DAY_S = 900, 3600, 86400
LONGEST_RAW_S = 48 * HOUR_S
FIRST = datetime(2000, 1, 1, tzinfo=UTC)
LAST = datetime(2100, 1, 1, tzinfo=UTC)
STEPS_S = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 7 * 86400, 30 * 86400)
Step = Annotated[int | None, QueryParameter(ge=1, le=366 * DAY_S)]
Tier = Literal["raw", "15m", "hourly", "daily"]


class Phases(msgspec.Struct, rename="camel"):
    """Where the time of the good checks went, in milliseconds on average: `firstByte` from the request sent to the
    first byte of the answer, `transfer` all that is left. A phase that did not happen (TLS of a plain address) took 0.
    """

    dns: float
    connect: float
    tls: float
    first_byte: float
    transfer: float


class Point(msgspec.Struct):
    """`count` checks were made in the step that begins at `time`, `errors` of them failed; the rest is milliseconds
    of the good ones, null where there is none."""

    time: str
    count: int
    errors: int
    avg: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    phases: Phases | None


class ResponseTimes(msgspec.Struct):
    """The whole window first, then its points; steps without a check have none."""

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
    """A point, or the whole window where `time` is None; `low` and `high` are the window as it was read."""

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
        """All five, or none where no good check was measured."""
        phases = (self.dns, self.connect, self.tls, self.first_byte, self.transfer)
        measured = [ms for ms in phases if ms is not None]
        return Phases(*measured) if measured else None


def default_step(window_s: float) -> int:
    """The least of the usual steps that makes no more than AIMED_POINTS points, and that its window may have."""
    usable = STEPS_S if window_s <= LONGEST_RAW_S else [step for step in STEPS_S if step >= QUARTER_S]
    return next((step for step in usable if window_s / step <= AIMED_POINTS), DAY_S * 365)


def tier(step: int, window_s: float) -> Tier:
    """What a step is read from; raises ApiError where that would be too much or cannot be."""
    if window_s / step > MOST_POINTS:
        raise invalid(FieldProblem.of("step", "step_points", most=MOST_POINTS))
    if step < QUARTER_S:
        if window_s > LONGEST_RAW_S:
            raise invalid(FieldProblem.of("step", "step_window", step=QUARTER_S, hours=LONGEST_RAW_S // HOUR_S))
        return "raw"
    if step % QUARTER_S:
        raise invalid(FieldProblem.of("step", "step_multiple", step=QUARTER_S))
    if step % HOUR_S:
        return "15m"
    return "hourly" if step % DAY_S else "daily"


def window(from_: datetime | None, to: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """The window asked for; the last 24 hours by default, to the whole second."""
    for name, moment in (("from", from_), ("to", to)):
        if moment is not None and not FIRST <= moment <= LAST:
            raise invalid(FieldProblem.of(name, "years", first=FIRST.year, last=LAST.year))
    end = to or now.replace(microsecond=0) + timedelta(seconds=1)
    start = from_ or end - timedelta(days=1)
    if start >= end:
        raise invalid(FieldProblem.of("from", "before_to"))
    return start, end


class Lookup(NamedTuple):
    """A window, a step in seconds that it may have, and what both are read from."""

    start: datetime
    end: datetime
    step: int
    tier: Tier


def asked(from_: str | None, to: str | None, step: int | None) -> Lookup:
    """What a query asks for. Raises 400 for what is no time, and for a step that its window may not have."""
    start, end = window(read_moment("from", from_), read_moment("to", to), datetime.now(UTC))
    window_s = (end - start).total_seconds()
    step = step or default_step(window_s)
    return Lookup(start, end, step, tier(step, window_s))


async def measured(pool: Pool, service: ServiceName, wanted: Lookup) -> ResponseTimes:
    """The response times of a service, for who may know of it."""
    step = timedelta(seconds=wanted.step)
    name = "response_times/raw" if wanted.tier == "raw" else "response_times/rollups"
    values = {"service_id": service.id, "start": wanted.start, "end": wanted.end, "step": step, "tier": wanted.tier}
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
    """Up to `now`, with a point an hour, by whole quarters of an hour: what badges and the page of a service say, and
    the figures of its chart."""
    times = await measured(pool, service, Lookup(now - timedelta(days=1), now, HOUR_S, "15m"))
    return msgspec.structs.replace(times, to=iso(now))  # the last quarter goes on, and nobody knows what it will bring


@get(
    "/response-times/{service_id:str}",
    summary="Response times and percentiles of a service",
    tags=["status"],
    responses=responses(400, 404, 429, 503),
    **requires("status:read"),
)
async def response_times(
    pool: Injected[Pool],
    service_id: FromPath[str],
    from_: FromMoment = None,
    to: ToMoment = None,
    step: Step = None,
) -> ResponseTimes:
    """`from` and `to` are ISO times with a zone (`+` written as %2B), `step` is in seconds; the answer tells the window
    that was read, which is wider than asked for where buckets are whole."""
    wanted = asked(from_, to, step)
    return await measured(pool, await public_service(pool, service_id), wanted)


router = Router("/api", route_handlers=[response_times])
