"""The course of a service under its SLA policies: what its time counted as, why, and how its error budget was spent.

The rules are in docs/accounting.md, the SQL in sql/accounting/timeline.sql.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from litestar import Router, get

from api.auth.permissions import Principal, allows, requires, sees_internal
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.rest.errors import ApiError, invalid
from api.rest.injected import Injected
from api.rest.moments import FromMoment, ToMoment, iso, read_moment
from api.rest.problems import FieldProblem
from api.services.names import ServiceName, ServicePath
from api.sla.corrections import Category, Effect
from api.sla.figures import AsOf, CurrentRow, PeriodText, days_of
from api.sla.periods import (
    Window,
    first_check,
    require_checked,
    require_policy,
    window_of_days,
    window_of_moments,
)
from api.uptime.calendar import public_service
from sql import Pool, database

CACHEABLE = (
    Cacheable(
        "/api/sla/services/*/timeline",
        frozenset({"checks", "event", "services"}),
        frozenset({"from", "to", "period", "asOf"}),
        personal=True,
    ),
)
MAX_SPANS = 20_000
"""The largest number of spans in a response."""
MAX_POINTS = 400
"""The largest number of points of a burn-down."""
State = Literal["up", "degraded", "down", "unknown", "maintenance", "excluded", "outside"]


class Cause(msgspec.Struct, rename={"from_": "from"}, tag_field="kind"):
    """A reason for the state of a span. `from` and `to`: its first and last time within the span."""

    from_: str
    to: str


class ErrorCause(Cause, tag="error"):
    """Checks that failed or were slow. `error`: the type of the error. `message`: for staff only."""

    error: str
    message: str | None


class CorrectionCause(Cause, tag="correction"):
    """A correction that set the state. `reason` and `author`: for staff only."""

    id: UUID
    category: Category
    effect: Effect
    reason: str | None
    author: str | None


class MaintenanceCause(Cause, tag="maintenance"):
    """A maintenance window that was announced in time. Those that are not public are for staff only."""

    id: UUID
    title: str


Reason = ErrorCause | CorrectionCause | MaintenanceCause


class Span(msgspec.Struct, rename={"from_": "from"}):
    """A time in one state. `from` is included, `to` is not. `reasons`: the first 20, the earliest first."""

    from_: str
    to: str
    state: State
    reasons: list[Reason]


class BudgetPoint(msgspec.Struct, rename="camel"):
    """The seconds of the error budget that are left at a time; negative if it is exceeded."""

    time: str
    left_seconds: float


class Timeline(msgspec.Struct, rename="camel"):
    """`spans`: in order, without overlaps; neighbours differ in their state. There is none before the first check,
    after now, or while no policy applies. `burnDown`: between two points the budget is spent at a constant rate."""

    service: ServiceName
    from_: str = msgspec.field(name="from")
    to: str
    spans: list[Span]
    burn_down: list[BudgetPoint]


class SpanRow(msgspec.Struct):
    """A row of sla/timeline."""

    state: State
    starts_at: datetime
    ends_at: datetime
    reasons: list[dict[str, Any]]

    @property
    def span(self) -> Span:
        reasons = msgspec.convert(self.reasons, list[Reason])
        return Span(iso(self.starts_at), iso(self.ends_at), self.state, reasons)


class PointRow(msgspec.Struct):
    """A row of sla/burn_down."""

    at: datetime
    left_seconds: float


@get(
    "/sla/services/{service_id:str}/timeline",
    summary="Get the timeline of a service under its SLA policies",
    **requires("sla:read", 400, 404),
)
async def timeline(
    request: ApiRequest,
    service_id: ServicePath,
    pool: Injected[Pool],
    from_: FromMoment = None,
    to: ToMoment = None,
    period: PeriodText = None,
    as_of: AsOf = None,
) -> Timeline:
    """The states of a public service with their reasons, and the burn-down of its error budget, in a period or from
    `from` until `to`, by default in the policy's current period. The budget is that of this window. Staff also get the
    texts and authors of corrections, the messages of errors, and maintenance windows that are not public. 404 if the
    service does not exist, or if no policy applies to it in the window. 400 for a window that ended before the first
    check, for more than ten years, or for more than 20,000 spans."""
    service = await public_service(pool, service_id)
    known_at = read_moment("asOf", as_of)
    window = await _window(pool, service_id, from_, to, period, known_at)
    return await read_timeline(pool, service, window, request.user, known_at)


async def read_timeline(
    pool: Pool, service: ServiceName, window: Window, reader: Principal | None, known_at: datetime | None = None
) -> Timeline:
    """The timeline of a service for this reader. Raises 404 without a policy, 400 for too many spans."""
    values = {"service_id": service.id, "low": window.low, "high": window.high, "known_at": known_at}
    points = await database.rows(pool, "sla/burn_down", PointRow, most=MAX_POINTS, **values)
    rows = await database.rows(
        pool,
        "sla/timeline",
        SpanRow,
        most=MAX_SPANS + 1,
        details=allows(reader, "corrections:read"),
        internal=sees_internal(reader),
        **values,
    )
    if len(rows) > MAX_SPANS:
        raise invalid(FieldProblem.of("to", "too_many_spans", most=MAX_SPANS))
    return Timeline(
        service=service,
        from_=iso(window.low),
        to=iso(window.high),
        spans=[row.span for row in rows],
        burn_down=[BudgetPoint(iso(point.at), point.left_seconds) for point in points],
    )


async def _window(
    pool: Pool, service_id: str, from_: str | None, to: str | None, period: str | None, known_at: datetime | None
) -> Window:
    """The window of the query parameters. Raises 400 for invalid ones, 404 if no policy applies in it."""
    bounds = read_moment("from", from_), read_moment("to", to)
    checked = await first_check(pool, service_id)
    if bounds != (None, None):
        if period is not None:
            raise invalid(FieldProblem.of("period", "without_bounds"))
        window = window_of_moments(*bounds, checked.now)
        require_checked(checked, "to", window.high)
        await require_policy(pool, service_id, window, known_at)
    elif period is not None:
        window = await window_of_days(pool, service_id, *days_of(period), known_at)
        require_checked(checked, "period", window.high)
    else:
        current = await database.row(pool, "sla/current_policy", CurrentRow, service_id=service_id, known_at=known_at)
        if current is None:
            raise ApiError(404, "no_policy")
        window = await window_of_days(pool, service_id, current.first_day, current.last_day, known_at)
    return window


router = Router("/api", route_handlers=[timeline], tags=["sla"])
