"""GET /api/sla/report: the SLA report of a period and a scope, in each format."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, Router, get
from litestar.openapi.spec import OpenAPIMediaType, Operation, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import QueryParameter

from api.auth.permissions import requires, sees_internal
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.edge.negotiation import negotiated
from api.rest.errors import RETRY_AFTER_S, ApiError, invalid
from api.rest.injected import Injected
from api.rest.moments import read_moment
from api.rest.parts import Part
from api.rest.preconditions import NOT_MODIFIED, IfNoneMatch, unless_known
from api.rest.problems import FieldProblem
from api.rest.request_state import request_state
from api.sla.figures import AsOf, PeriodText
from sla_monitor import __version__
from sla_monitor.reports import gathering
from sla_monitor.reports.formats import MEDIA_TYPES, Format, file_name
from sla_monitor.reports.rendering import Renderer, RendererBusy, RenderingFailed
from sla_monitor.reports.request import ReportProblem, read_request
from sla_monitor.reports.structure import Report, ReportScope
from sla_monitor.settings import Settings
from sla_monitor.texts.languages import Language
from sql import Pool

log = logging.getLogger(__name__)

PARAMETERS = frozenset({"period", "from", "to", "service", "group", "tag", "format", "asOf", "lang"})
CACHEABLE = (Cacheable("/api/sla/report", frozenset({"event", "services"}), PARAMETERS, personal=True, localized=True),)
"""New checks invalidate no report: a report is at most a minute old, and names the time at which it was generated."""
EPOCH = datetime.fromtimestamp(0, UTC)
RENDERER = Part[Renderer]("renderer")
STYLED = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""The content security policy of reports in HTML: no script, and no other file."""
FormatName = Annotated[Format, QueryParameter(name="format", description="The format of the response")]
LanguageName = Annotated[
    Language | None, QueryParameter(name="lang", description="The language; by default that of Accept-Language")
]
FromDay = Annotated[
    str | None,
    QueryParameter(name="from", max_length=10, format="date", description="The first day, instead of period"),
]
ToDay = Annotated[str | None, QueryParameter(max_length=10, format="date", description="The last day, with from")]
Services = Annotated[list[str] | None, QueryParameter(description="Ids of services; by default all of them")]
Groups = Annotated[list[str] | None, QueryParameter(description="Names of groups")]
Tags = Annotated[list[str] | None, QueryParameter(description="Tags")]


@dataclass
class ReportOperation(Operation):
    """Describes the formats of a response that is a report."""

    def __post_init__(self) -> None:
        text: Any = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))
        found: Any = (self.responses or {})["200"]
        found.content |= {MEDIA_TYPES[form]: text for form in MEDIA_TYPES if form != "json"}


@get(
    "/sla/report",
    summary="Get the SLA report of a period",
    operation_class=ReportOperation,
    **requires("sla-reports:read", 400, responses=NOT_MODIFIED),
)
async def report(
    request: ApiRequest,
    pool: Injected[Pool],
    settings: Injected[Settings],
    renderer: Injected[Renderer],
    period: PeriodText = None,
    from_: FromDay = None,
    to: ToDay = None,
    service: Services = None,
    group: Groups = None,
    tag: Tags = None,
    form: FormatName = "json",
    as_of: AsOf = None,
    lang: LanguageName = None,
    if_none_match: IfNoneMatch = None,
) -> Response[Report]:
    """The report of the services that are named, in one of the groups or have one of the tags: figures, calendar,
    outages, incidents, maintenance, corrections, and the policies in words. The period is a month, quarter or year, by
    default the current month, or the days from `from` to `to`. Anonymous clients get public services, without authors
    and reasons of corrections.

    At most 1,000 services, and 50,000 services times days. 503 while too many reports are being made."""
    scope = ReportScope(service or [], group or [], tag or [], public=not sees_internal(request.user))
    moment = read_moment("asOf", as_of)
    language = language_of(request, lang)
    async with turn(renderer):
        try:
            wanted = read_request(period, from_, to, scope, moment, (await gathering.clock(pool)).today)
            found = await gathering.gather(pool, wanted, settings.site_title)
        except ReportProblem as problem:
            raise invalid(FieldProblem.of(problem.field, problem.code, **problem.parameters)) from None
        return await rendered(renderer, found, form, language, if_none_match)


@asynccontextmanager
async def turn(renderer: Renderer) -> AsyncIterator[None]:
    """The turn to make a report. Raises 503 if too many reports wait."""
    try:
        async with renderer.turn():
            yield
    except RendererBusy:
        raise ApiError(503, "renderer_busy", headers={"Retry-After": str(RETRY_AFTER_S)}) from None


async def rendered(
    renderer: Renderer, found: Report, form: Format, language: Language, if_none_match: str | None
) -> Response[Any]:
    """The report in a format, or a 304. Raises 503 if it takes too long.

    The ETag does not depend on the time at which the report was generated: the figures of a closed period stay as they
    are, and then the client's copy is current."""
    headers = {"ETag": _etag(found, form, language)}
    known: Response[Any] = unless_known(Response(None, headers=headers), if_none_match)
    if known.status_code == 304:
        return known
    try:
        content = await renderer.render(found, form, language)
    except RenderingFailed as failure:
        log.error("a report of %d services could not be rendered: %s", len(found.services), failure)
        raise ApiError(503, "rendering_failed", headers={"Retry-After": str(RETRY_AFTER_S)}) from None
    if form != "json":
        shown: Literal["inline", "attachment"] = "inline" if form in ("html", "pdf") else "attachment"
        headers["Content-Disposition"] = f'{shown}; filename="{file_name(found, form)}"'
    if form == "html":
        headers["Content-Security-Policy"] = STYLED
    return Response(content, headers=headers, media_type=MEDIA_TYPES[form])


def language_of(request: ApiRequest, chosen: Language | None) -> Language:
    """The chosen language, else that of Accept-Language."""
    negotiated_before = request_state(request.scope).get("language")  # the response cache leaves the header out
    return chosen or negotiated_before or negotiated(request.headers.get("accept-language", ""))


def _etag(found: Report, form: Format, language: Language) -> str:
    content = msgspec.structs.replace(found, generated_at=EPOCH)
    whole = msgspec.json.encode((__version__, form, language, content))
    return f'"{blake2b(whole, digest_size=16).hexdigest()}"'


router = Router("/api", route_handlers=[report], tags=["sla"])
