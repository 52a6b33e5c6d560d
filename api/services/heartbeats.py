"""Reports of jobs: /ping/{key}, which whoever has the key may call, and the key itself, for admins."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import HttpMethod, Response, Router, get, post, route
from litestar.enums import MediaType
from litestar.params import FromPath
from msgspec import Meta

from api.auth.gatekeeper import actor
from api.auth.permissions import requires
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.edge.client_address import client_key
from api.edge.limits import Limits
from api.edge.request_state import request_state
from api.rest.errors import ApiError, responses
from api.rest.injected import Injected
from api.rest.texts import uuid_or_none
from api.services.names import is_slug
from sla_monitor.heartbeats import MOST_TEXT, Event
from sla_monitor.settings import Settings
from sql import Pool, database, heartbeats, query
from sql.database import Actor

CACHEABLE: tuple[Cacheable, ...] = ()
MOST_BYTES = 4 * MOST_TEXT
"""What is read of a report's body; the rest is left unread."""
_WORDS: dict[str, Event] = {"": "success", "start": "start", "fail": "fail", "log": "log"}


class _Key(msgspec.Struct):
    service_id: str


class Heartbeat(msgspec.Struct, rename="camel"):
    """What is known of a job. Its address is `/ping/` and the key, then nothing, `/start`, `/fail`, `/log` or an exit
    code."""

    service_id: str
    ping_key: UUID
    last_ping_at: datetime | None
    last_event: Annotated[str, Meta(description="success, start, fail, log or an exit code")] | None
    last_text: str | None
    last_run_ms: float | None
    started_at: datetime | None
    due_at: datetime | None
    late_at: datetime | None


@route(
    ["/ping/{key:str}", "/ping/{key:str}/{event:str}"],
    http_method=[HttpMethod.GET, HttpMethod.POST],
    include_in_schema=False,
    request_max_body_size=None,
    media_type=MediaType.TEXT,
    status_code=200,
    **requires("jobs:report"),
)
async def ping(
    request: ApiRequest,
    pool: Injected[Pool],
    limits: Injected[Limits],
    settings: Injected[Settings],
    key: FromPath[str],
    event: FromPath[str] = "",
) -> Response[str]:
    """Records a report. An address that is none is 404, and counted against the client: keys cannot be guessed."""
    known, reported = uuid_or_none(key), _event(event)
    service = None
    if known is not None and reported is not None:
        service = await database.row(pool, "heartbeats/service", _Key, key=known)
    if service is None or known is None or reported is None:
        client = client_key(request_state(request.scope)["client"])
        await limits.take("unknown-ping", client, settings.rate_limit_pings)
        raise ApiError(404)
    headers = await limits.take("ping", service.service_id, settings.rate_limit_pings)
    text = await _text(request)
    async with database.transaction(pool) as connection:
        if not await heartbeats.report(connection, known, reported, text):
            raise ApiError(404)
    return Response("OK", headers={**headers, "Cache-Control": "no-store"})


@get(
    "/api/services/{service_id:str}/heartbeat",
    summary="What is known of a job, with the key of its reports",
    tags=["services"],
    responses=responses(400, 401, 403, 404, 429, 503),
    **requires("services:administer"),
)
async def get_heartbeat(pool: Injected[Pool], service_id: FromPath[str]) -> Heartbeat:
    """404 where the service is not of the type `heartbeat`."""
    return await heartbeat_of(pool, service_id)


@post(
    "/api/services/{service_id:str}/heartbeat/key",
    summary="Give a job another key",
    tags=["services"],
    status_code=200,
    responses=responses(400, 401, 403, 404, 429, 503),
    **requires("services:administer"),
)
async def rotate_key(request: ApiRequest, pool: Injected[Pool], service_id: FromPath[str]) -> Heartbeat:
    """The old key is unknown from then on. What is known of the job stays."""
    return await rotate(pool, actor(request), service_id)


async def rotate(pool: Pool, by: Actor, service_id: str) -> Heartbeat:
    """Gives the job another key. Raises 404 where there is none."""
    if is_slug(service_id):
        async with database.transaction(pool, by) as connection:
            await connection.execute(query("heartbeats/rotate"), {"id": service_id})
    return await heartbeat_of(pool, service_id)


async def heartbeat_of(pool: Pool, service_id: str) -> Heartbeat:
    """Raises 404 where there is none."""
    known = await database.row(pool, "heartbeats/one", Heartbeat, id=service_id) if is_slug(service_id) else None
    if known is None:
        raise ApiError(404, "unknown_heartbeat")
    return known


def _event(text: str) -> Event | None:
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 255 else None


async def _text(request: ApiRequest) -> str:
    """The beginning of the body, as far as it is kept; bytes that are no UTF-8 are replaced."""
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) >= MOST_BYTES:
            break
    return bytes(read[:MOST_BYTES]).decode("utf-8", "replace")[:MOST_TEXT]


router = Router("/", route_handlers=[ping, get_heartbeat, rotate_key])
