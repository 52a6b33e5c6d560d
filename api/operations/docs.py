"""/openapi.json and /docs: the OpenAPI document, and Swagger UI without external files."""

from collections.abc import Iterable
from functools import cache
from html import escape
from importlib.resources import files

from litestar import Response, Router, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, Contact, License, OpenAPI, SecurityScheme, Tag
from litestar.params import FromPath
from litestar.types import Method
from litestar.types.internal_types import PathParameterDefinition

from api.auth.permissions import requires
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.operations.description import ExactDescription
from api.rest.errors import ApiError
from sla_monitor import __version__

CACHEABLE = (
    Cacheable("/openapi.json", frozenset()),
    Cacheable("/docs", frozenset()),
    Cacheable("/docs/", frozenset()),
)
STATIC = {
    "swagger-ui.css": ("swagger-ui/swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": ("swagger-ui/swagger-ui-bundle.js", "text/javascript"),
    "docs.css": ("docs.css", "text/css"),
    "docs.js": ("docs.js", "text/javascript"),
}
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def _operation_id(_: HTTPRouteHandler, method: Method, parts: list[str | PathParameterDefinition]) -> str:
    """The id of an operation, such as `get_api_system-status`. Litestar removes hyphens from ids, so that two paths
    would have the same id."""
    return "_".join([method.lower(), *(part if isinstance(part, str) else part.name for part in parts)])


def config(cacheable: Iterable[Cacheable]) -> OpenAPIConfig:
    """The configuration of the document. `cacheable`: see `ExactDescription`."""
    return OpenAPIConfig(
        title="SLA Monitor",
        version=__version__,
        summary="Status, uptime and response times of services",
        description=(
            "The body of every error is `{error, code, reason, parameters?, details?}`. Apart from the errors of each "
            "route, any path may respond with 400 (unknown `Host`), 403 (a change from a page of another origin), 405 "
            "or 500. Times are RFC 3339 with a zone. Responses that may be cached have an `ETag`; a stale "
            "response has `X-Cache: STALE`. "
            "The live feed is a WebSocket at `/ws` with frames of `{event, data, seq}`. Join a room with "
            '`{"event": "join-room", "data": {"room": "system-status"}}`; reconnect with '
            "`/ws?since=SEQ&rooms=system-status,uptime`."
        ),
        contact=Contact(name="SLA Monitor"),
        license=License(name="See the repository"),
        tags=[
            Tag(name="status", description="Public status, uptime and response times"),
            Tag(name="services", description="Monitored services"),
            Tag(name="incidents", description="Incidents, comments, templates and maintenance"),
            Tag(name="sla", description="Service levels, SLA policies and holiday calendars"),
            Tag(name="accounts", description="Login, users and API tokens"),
            Tag(name="administration", description="Audit log and settings"),
            Tag(name="operations", description="Health, readiness and metrics"),
        ],
        use_handler_docstrings=True,
        operation_id_creator=_operation_id,
        openapi_router=Router(
            "/openapi.json", route_handlers=[], include_in_schema=False, opt={"action": "status:read"}
        ),
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="JWT or slam_…",
                    description="An access token from `/api/auth/login`, or an API token",
                )
            }
        ),
        render_plugins=[ExactDescription(cacheable)],
    )


@cache
def _static(name: str) -> bytes:
    return files("api").joinpath("pages", "static", name).read_bytes()


@get("/docs", include_in_schema=False, sync_to_thread=False, **requires("status:read"))
def page(request: ApiRequest) -> Response[bytes]:
    """Swagger UI, which loads /openapi.json; without scripts, a list of the routes."""
    headers = {"Content-Security-Policy": PAGE_POLICY}
    html = _static("docs.html").replace(b"<!-- routes -->", _route_list(request.app.openapi_schema).encode())
    return Response(html, media_type="text/html", headers=headers)


def _route_list(description: OpenAPI) -> str:
    return "\n".join(
        f"<li><code>{method.upper()} {escape(path)}</code> {escape(operation.summary or '')}</li>"
        for path, item in sorted((description.paths or {}).items())
        for method in ("get", "post", "put", "patch", "delete")
        if (operation := getattr(item, method)) is not None
    )


@get("/docs/{name:str}", include_in_schema=False, sync_to_thread=False, **requires("status:read"))
def asset(name: FromPath[str]) -> Response[bytes]:
    """The files of Swagger UI."""
    if name not in STATIC:
        raise ApiError(404)
    path, media_type = STATIC[name]
    return Response(_static(path), media_type=media_type)


router = Router("/", route_handlers=[page, asset])
