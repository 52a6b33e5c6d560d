"""Heartbeats: the reports of jobs at /ping/{key}, without authentication, and the key of each job, for admins."""

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
from api.rest.errors import ApiError
from api.rest.injected import Injected
from api.rest.request_state import request_state
from api.rest.texts import uuid_or_none
from api.services.names import ServicePath, is_slug
from sla_monitor.heartbeats import MAX_TEXT, Event
from sla_monitor.settings import Settings
from sql import Pool, database, heartbeats, query
from sql.database import Actor

CACHEABLE: tuple[Cacheable, ...] = ()
MAX_TEXT_BYTES = 4 * MAX_TEXT
"""The largest number of bytes that are read of a report's body."""
_EVENTS: dict[str, Event] = {"": "success", "start": "start", "fail": "fail", "log": "log"}
"""The events by the last part of the path."""


class _Service(msgspec.Struct):
    """A row of the query heartbeats/service."""

    service_id: str


class Heartbeat(msgspec.Struct, rename="camel"):
    """The last report of a job. The job reports to `/ping/{pingKey}` (success), or to this path followed by `/start`,
    `/fail`, `/log` or its exit code. `lastRunMs`: the duration of the last run in milliseconds. `startedAt`: the start
    of the current run. `dueAt`: when the next report is expected; `lateAt`: when a missing report is a failure."""

    service_id: str
    ping_key: UUID
    last_ping_at: datetime | None
    last_event: Annotated[str, Meta(description="`success`, `start`, `fail`, `log` or an exit code")] | None
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
    """Records a report. 404 for an unknown key or event; such requests are limited per client, so that keys cannot be
    guessed."""
    ping_key, reported = uuid_or_none(key), _event(event)
    service = None
    if ping_key is not None and reported is not None:
        service = await database.row(pool, "heartbeats/service", _Service, key=ping_key)
    if service is None or ping_key is None or reported is None:
        client = client_key(request_state(request.scope)["client"])
        await limits.take("unknown-ping", client, settings.rate_limit_pings)
        raise ApiError(404)
    headers = await limits.take("ping", service.service_id, settings.rate_limit_pings)
    text = await _text(request)
    async with database.transaction(pool) as connection:
        if not await heartbeats.report(connection, ping_key, reported, text):
            raise ApiError(404)
    return Response("OK", headers={**headers, "Cache-Control": "no-store"})


@get(
    "/api/services/{service_id:str}/heartbeat",
    summary="Get the heartbeat of a job, with the key of its reports",
    **requires("services:administer", 400, 404),
)
async def get_heartbeat(pool: Injected[Pool], service_id: ServicePath) -> Heartbeat:
    """The last report and the next deadline. 404 if the service is not of the type `heartbeat`."""
    return await heartbeat_of(pool, service_id)


@post(
    "/api/services/{service_id:str}/heartbeat/key",
    summary="Replace the key of a job",
    status_code=200,
    **requires("services:administer", 400, 404),
)
async def rotate_key(request: ApiRequest, pool: Injected[Pool], service_id: ServicePath) -> Heartbeat:
    """Returns the heartbeat with the new key. The old key is invalid at once; the last report and the deadline stay.
    404 if the service is not of the type `heartbeat`."""
    return await rotate(pool, actor(request), service_id)


async def rotate(pool: Pool, by: Actor, service_id: str) -> Heartbeat:
    """Replaces the key of a job and returns its heartbeat. Raises 404 if the service is not of the type `heartbeat`."""
    if is_slug(service_id):
        async with database.transaction(pool, by) as connection:
            await connection.execute(query("heartbeats/rotate"), {"id": service_id})
    return await heartbeat_of(pool, service_id)


async def heartbeat_of(pool: Pool, service_id: str) -> Heartbeat:
    """The heartbeat of a job. Raises 404 if the service is not of the type `heartbeat`."""
    found = await database.row(pool, "heartbeats/one", Heartbeat, id=service_id) if is_slug(service_id) else None
    if found is None:
        raise ApiError(404, "unknown_heartbeat")
    return found


def _event(text: str) -> Event | None:
    """The event that the last part of a path names: one of _EVENTS, or an exit code from 0 to 255. None for other
    texts."""
    if text in _EVENTS:
        return _EVENTS[text]
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 255 else None


async def _text(request: ApiRequest) -> str:
    """The first MAX_TEXT characters of the body. Bytes that are not UTF-8 are replaced."""
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) >= MAX_TEXT_BYTES:
            break
    return bytes(read[:MAX_TEXT_BYTES]).decode("utf-8", "replace")[:MAX_TEXT]


router = Router("/", route_handlers=[ping, get_heartbeat, rotate_key], tags=["services"])
