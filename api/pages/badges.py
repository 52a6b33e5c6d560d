"""/badges/{service}/{status,uptime,response}: an image for a README, and the same as JSON for shields.io.

Their figures are those of the status page and of the API. A private service is one that does not exist, to the byte.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from litestar import Response, Router, get
from litestar.enums import MediaType
from litestar.params import FromPath, FromQuery, QueryParameter

from api.auth.permissions import requires
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable, Change
from api.pages.badge_image import COLORS, Badge, Color, Style, cut, draw
from api.pages.service_states import has_open_incident, public_states, together
from api.rest.errors import ApiError, describe, respond
from api.rest.injected import Injected
from api.rest.moments import iso
from api.services.fields import ALL_SYSTEMS, is_slug
from api.uptime.calendar import public_service
from api.uptime.response_times import asked, last_24_hours, measured
from api.uptime.status import ServiceState
from sla_monitor.texts.languages import DEFAULT, Language, Texts, texts
from sql import Pool, database

Period = Literal["24h", "7d", "30d", "90d"]
Figure = Literal["avg", "p50", "p95", "p99"]
DAYS: Mapping[Period, int] = {"24h": 1, "7d": 7, "30d": 30, "90d": 90}
MOST_LABEL_CHARACTERS = 100
GOOD_UPTIME, POOR_UPTIME = 99.0, 95.0
HEADERS = {"Content-Security-Policy": "default-src 'none'; sandbox", "Cross-Origin-Resource-Policy": "cross-origin"}
"""Any page may show it; opened by itself it can do nothing."""
_SHARED = frozenset({"label", "style", "lang"})
_CHECKS: frozenset[Change] = frozenset({"checks", "services"})
_EVENTS: frozenset[Change] = frozenset({"event", "services"})


class Wanted(NamedTuple):
    """What a badge is asked for, beside its service."""

    t: Texts
    period: Period | None
    figure: Figure


class _UptimeRow(msgspec.Struct):
    name: str | None
    uptime: str


async def status_badge(pool: Pool, service_id: str | None, wanted: Wanted) -> Badge:
    """The state of a service now, or the worst of all."""
    rows = await public_states(pool, service_id)
    if service_id is not None and not rows:
        raise ApiError(404)
    label = wanted.t("badge.all_systems") if service_id is None else rows[0].name
    incident = service_id is None and await has_open_incident(pool)
    return state_badge(wanted.t, label, [row.state for row in rows], incident)


def state_badge(t: Texts, label: str, states: Iterable[ServiceState], incident: bool = False) -> Badge:
    """What they are together."""
    state, headline = together(states, incident)
    message = t(("badge." if headline in ("no_problems", "incident") else "states.") + headline)
    return Badge(label, message, state, is_error=state in ("outage", "unknown"))


async def uptime_badge(pool: Pool, service_id: str | None, wanted: Wanted) -> Badge:
    """The share of the time that checks stand for in which the service was not down, rounded down."""
    period = wanted.period or "90d"
    row = await database.row(pool, "uptime/period", _UptimeRow, service_id=service_id, days=DAYS[period])
    if row is None:
        raise ApiError(404)
    name = wanted.t("badge.all_systems") if service_id is None else row.name
    label = wanted.t("badge.uptime", name=name, period=wanted.t("badge.period_" + period))
    if row.uptime == "-":
        return Badge(label, wanted.t("states.nd"), "unknown", is_error=True)
    return Badge(label, wanted.t.percent(row.uptime), _uptime_color(float(row.uptime)))


async def response_badge(pool: Pool, service_id: str | None, wanted: Wanted) -> Badge:
    """A percentile, or the mean, of the response times. There is none of several services together."""
    if service_id is None:
        raise ApiError(404)
    service = await public_service(pool, service_id)
    period = wanted.period or "24h"
    now = datetime.now(UTC)
    if period == "24h":
        times = await last_24_hours(pool, service, now)
    else:
        start = now - timedelta(days=DAYS[period])
        times = await measured(pool, service, asked(iso(start), iso(now), None))
    label = wanted.t("badge." + wanted.figure, name=service.name, period=wanted.t("badge.period_" + period))
    value: float | None = getattr(times, wanted.figure)
    if value is None:
        return Badge(label, wanted.t("states.nd"), "unknown", is_error=True)
    return Badge(label, wanted.t.milliseconds(value), "figure")


KINDS: Mapping[str, Callable[[Pool, str | None, Wanted], Awaitable[Badge]]] = {
    "status": status_badge,
    "uptime": uptime_badge,
    "response": response_badge,
}
CACHEABLE = tuple(
    Cacheable(f"/badges/*/{kind}.{form}", changed_by, _SHARED | own)
    for kind, changed_by, own in (
        ("status", _EVENTS, frozenset[str]()),
        ("uptime", _CHECKS, frozenset({"period"})),
        ("response", _CHECKS, frozenset({"period", "figure"})),
    )
    for form in ("svg", "json")
)


class Shield(msgspec.Struct, rename="camel", omit_defaults=True):
    """A badge for https://shields.io/endpoint."""

    schema_version: int
    label: str
    message: str
    color: str
    is_error: bool = False


@get("/badges/{service_id:str}/{name:str}", include_in_schema=False, **requires("status:read"))
async def badge(
    request: ApiRequest,
    pool: Injected[Pool],
    service_id: FromPath[str],
    name: FromPath[str],
    label: Annotated[str | None, QueryParameter(max_length=MOST_LABEL_CHARACTERS)] = None,
    style: FromQuery[Style] = "flat",
    period: FromQuery[Period | None] = None,
    figure: FromQuery[Figure] = "p95",
    lang: FromQuery[Language] = DEFAULT,
) -> Response[Any]:
    """`label` replaces what stands on the left; an empty one leaves it out."""
    kind, _, form = name.rpartition(".")
    if kind not in KINDS or form not in ("svg", "json") or not is_slug(service_id):
        raise ApiError(404)
    chosen = None if service_id == ALL_SYSTEMS.id else service_id
    made = await KINDS[kind](pool, chosen, Wanted(texts(lang, "UTC"), period, figure))
    if label is not None:
        made = msgspec.structs.replace(made, label=label)
    if form == "svg":
        return _image(request, made, style)
    return Response(_shield(made), headers=HEADERS)


def refused(request: ApiRequest, error: Exception) -> Response[Any]:
    """Where an image was asked for, one that says why there is none."""
    described = describe(error)
    if described is None:
        return respond(request, error)
    if described.status == 404:
        described = ApiError(404)  # in the same words for what is private, missing or misspelt
    if not request.scope["path"].endswith(".svg"):
        headers = described.headers | HEADERS
        return Response(described.body, status_code=described.status, headers=headers, media_type=MediaType.JSON)
    reason = described.status if described.status in (400, 404, 503) else 400
    t = texts(DEFAULT, "UTC")
    shown = Badge(t("badge.error"), t(f"badge.error_{reason}"), "unknown")
    return _image(request, shown, "flat", described.status, described.headers)


def _image(
    request: ApiRequest,
    shown: Badge,
    style: Style,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    image = draw(request.app.state.site.environment, shown, style)
    return Response(image, status_code=status, headers={**HEADERS, **(headers or {})}, media_type="image/svg+xml")


def _shield(made: Badge) -> Shield:
    return Shield(1, cut(made.label), made.message, COLORS[made.color], made.is_error)


def _uptime_color(uptime: float) -> Color:
    if uptime >= GOOD_UPTIME:
        return "operational"
    return "degraded" if uptime >= POOR_UPTIME else "outage"


router = Router("/", route_handlers=[badge], exception_handlers={Exception: refused})
