"""/badges/{service}/{status,uptime,response}: badges as SVG, and as JSON for shields.io.

Their figures are those of the status page and the API. The response for a private service is the same as for an unknown
one.
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
from api.pages.service_states import has_open_incident, public_states, summary_of
from api.pages.site import SITE
from api.rest.errors import ApiError
from api.rest.handling import describe, respond
from api.rest.injected import Injected
from api.rest.moments import iso
from api.services.names import ALL_SYSTEMS, is_slug
from api.uptime.calendar import public_service
from api.uptime.response_times import last_24_hours, measured, selection
from api.uptime.status import ServiceState
from sla_monitor.texts.languages import DEFAULT, Language, Texts, texts
from sql import Pool, database

Period = Literal["24h", "7d", "30d", "90d"]
Figure = Literal["avg", "p50", "p95", "p99"]
DAYS: Mapping[Period, int] = {"24h": 1, "7d": 7, "30d": 30, "90d": 90}
MAX_LABEL_CHARACTERS = 100
GOOD_UPTIME, POOR_UPTIME = 99.0, 95.0
HEADERS = {"Content-Security-Policy": "default-src 'none'; sandbox", "Cross-Origin-Resource-Policy": "cross-origin"}
"""Any page may embed the image; as a document of its own it is sandboxed."""
_SHARED = frozenset({"label", "style", "lang"})
_CHECKS: frozenset[Change] = frozenset({"checks", "services"})
_EVENTS: frozenset[Change] = frozenset({"event", "services"})


class BadgeOptions(NamedTuple):
    """The texts in the language of the badge, and the options of the request."""

    t: Texts
    period: Period | None
    figure: Figure


class _UptimeRow(msgspec.Struct):
    name: str | None
    uptime: str


async def status_badge(pool: Pool, service_id: str | None, options: BadgeOptions) -> Badge:
    """The state of a service, or of all (None). Raises 404."""
    rows = await public_states(pool, service_id)
    if service_id is not None and not rows:
        raise ApiError(404)
    label = options.t("badge.all_systems") if service_id is None else rows[0].name
    incident = service_id is None and await has_open_incident(pool)
    return state_badge(options.t, label, [row.state for row in rows], incident)


def state_badge(t: Texts, label: str, states: Iterable[ServiceState], incident: bool = False) -> Badge:
    """The badge of one or several states."""
    state, headline = summary_of(states, incident)
    message = t(("badge." if headline in ("no_problems", "incident") else "states.") + headline)
    return Badge(label, message, state, is_error=state in ("outage", "unknown"))


async def uptime_badge(pool: Pool, service_id: str | None, options: BadgeOptions) -> Badge:
    """The uptime over a period, rounded down. Raises 404."""
    period = options.period or "90d"
    row = await database.row(pool, "uptime/period", _UptimeRow, service_id=service_id, days=DAYS[period])
    if row is None:
        raise ApiError(404)
    name = options.t("badge.all_systems") if service_id is None else row.name
    label = options.t("badge.uptime", name=name, period=options.t("badge.period_" + period))
    if row.uptime == "-":
        return Badge(label, options.t("states.nd"), "unknown", is_error=True)
    return Badge(label, options.t.percent(row.uptime), _uptime_color(float(row.uptime)))


async def response_badge(pool: Pool, service_id: str | None, options: BadgeOptions) -> Badge:
    """A percentile or the average of the response times. Raises 404, also for all services."""
    if service_id is None:
        raise ApiError(404)
    service = await public_service(pool, service_id)
    period = options.period or "24h"
    now = datetime.now(UTC)
    if period == "24h":
        times = await last_24_hours(pool, service, now)
    else:
        start = now - timedelta(days=DAYS[period])
        times = await measured(pool, service, selection(iso(start), iso(now), None))
    label = options.t("badge." + options.figure, name=service.name, period=options.t("badge.period_" + period))
    value: float | None = getattr(times, options.figure)
    if value is None:
        return Badge(label, options.t("states.nd"), "unknown", is_error=True)
    return Badge(label, options.t.milliseconds(value), "figure")


KINDS: Mapping[str, Callable[[Pool, str | None, BadgeOptions], Awaitable[Badge]]] = {
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
    label: Annotated[str | None, QueryParameter(max_length=MAX_LABEL_CHARACTERS)] = None,
    style: FromQuery[Style] = "flat",
    period: FromQuery[Period | None] = None,
    figure: FromQuery[Figure] = "p95",
    lang: FromQuery[Language] = DEFAULT,
) -> Response[Any]:
    """`label` replaces the text on the left; an empty one removes it."""
    kind, _, form = name.rpartition(".")
    if kind not in KINDS or form not in ("svg", "json") or not is_slug(service_id):
        raise ApiError(404)
    one = None if service_id == ALL_SYSTEMS.id else service_id
    content = await KINDS[kind](pool, one, BadgeOptions(texts(lang, "UTC"), period, figure))
    if label is not None:
        content = msgspec.structs.replace(content, label=label)
    if form == "svg":
        return _image(request, content, style)
    return Response(_shield(content), headers=HEADERS)


def refused(request: ApiRequest, error: Exception) -> Response[Any]:
    """The response for an error: for an SVG, a badge with the error."""
    described = describe(error)
    if described is None:
        return respond(request, error)
    if described.status == 404:
        described = ApiError(404)  # the same text for private and unknown services and for invalid paths
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
    image = draw(SITE.of(request).environment, shown, style)
    return Response(image, status_code=status, headers={**HEADERS, **(headers or {})}, media_type="image/svg+xml")


def _shield(content: Badge) -> Shield:
    return Shield(1, cut(content.label), content.message, COLORS[content.color], content.is_error)


def _uptime_color(uptime: float) -> Color:
    if uptime >= GOOD_UPTIME:
        return "operational"
    return "degraded" if uptime >= POOR_UPTIME else "outage"


router = Router("/", route_handlers=[badge], exception_handlers={Exception: refused})
