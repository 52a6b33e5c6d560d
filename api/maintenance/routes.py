"""The routes of maintenance windows."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, delete, get, post, put
from litestar.params import JSONBody, PathParameter, QueryParameter
from psycopg.rows import class_row

import sql
from api.auth.gatekeeper import actor
from api.auth.permissions import Principal, authorise, requires, sees_internal
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable, Change
from api.maintenance.fields import (
    Conflict,
    NewWindow,
    WindowChange,
    WindowList,
    WindowResponse,
    WindowRow,
    problems,
)
from api.maintenance.plan import plan, require_ahead, window_schedule
from api.rest.constraints import constraint_errors
from api.rest.errors import BODY_ERRORS, ApiError, code_of, invalid, raise_problems
from api.rest.injected import Injected
from api.rest.moments import MAX_CHARACTERS, read_moment, year_problems
from api.rest.preconditions import (
    NOT_MODIFIED,
    IfMatch,
    IfNoneMatch,
    allows_version,
    etag,
    outdated,
    tagged,
    unless_known,
)
from api.rest.problems import FieldProblem
from api.rest.texts import uuid_or_none
from api.services.affected import require_services
from sla_monitor.recurrence import rules
from sql import Pool, database
from sql.database import Actor, Connection

DEFAULT_PERIOD = timedelta(days=90)
MAX_PERIOD = timedelta(days=400)
MAX_WINDOWS = 500
"""The largest number of windows in a list."""
_CHANGES: frozenset[Change] = frozenset({"event", "services"})
_PERIOD = frozenset({"from", "to"})
CACHEABLE = (
    Cacheable("/api/maintenance", _CHANGES, _PERIOD, personal=True),
    Cacheable("/api/maintenance/", _CHANGES, _PERIOD, personal=True),
)
SCHEDULE_FIELDS = ("starts_at", "ends_at", "rrule", "time_zone", "affected_services")
"""After a change of one of these fields, the occurrences are planned again."""
_SETTABLE = ("title", "description", "starts_at", "ends_at", "rrule", "time_zone", "public")
"""The columns that a change can set, except the services."""
_OUTDATED = outdated(Conflict)
From = Annotated[
    str | None,
    QueryParameter(
        name="from",
        max_length=MAX_CHARACTERS,
        format="date-time",
        description="An RFC 3339 time with a zone; by default now",
    ),
]
To = Annotated[
    str | None,
    QueryParameter(
        max_length=MAX_CHARACTERS,
        format="date-time",
        description="An RFC 3339 time with a zone; by default 90 days after `from`, at most 400 days",
    ),
]

WindowPath = Annotated[str, PathParameter(description="The id of a maintenance window")]


@get(
    "/maintenance",
    summary="List the maintenance windows of a period",
    **requires("maintenance:read", 400),
)
async def list_windows(request: ApiRequest, pool: Injected[Pool], from_: From = None, to: To = None) -> WindowList:
    """The windows that take place in the period, the next one first, at most 500, each with its first 50 occurrences.
    Anonymous clients get only public windows and services."""
    rows = await between(pool, request.user, *_period(from_, to))
    return WindowList([row.published() for row in rows])


@get(
    "/maintenance/{window_id:str}",
    summary="Get a maintenance window",
    **requires("maintenance:read", 400, 404, responses=NOT_MODIFIED),
)
async def get_window(
    request: ApiRequest,
    pool: Injected[Pool],
    window_id: WindowPath,
    from_: From = None,
    to: To = None,
    if_none_match: IfNoneMatch = None,
) -> Response[WindowResponse]:
    """The window with its occurrences in the period. 404 if it does not exist or the client may not see it. The `ETag`
    can be used in `If-Match`."""
    return unless_known(_response(await one(pool, request.user, window_id, *_period(from_, to))), if_none_match)


@post(
    "/maintenance",
    summary="Create a maintenance window",
    **requires("maintenance:write", *BODY_ERRORS),
)
async def create_window(
    request: ApiRequest, pool: Injected[Pool], data: JSONBody[NewWindow]
) -> Response[WindowResponse]:
    """The window takes place once or, with `rrule`, recurs in the local time of `timeZone`: 02:00 stays 02:00 after a
    change to summer time. `startsAt` is at most one day ago and five years ahead. 400 for overlapping occurrences or
    services that do not exist."""
    row = await create(pool, principal_of(request), actor(request), data)
    return _response(row, 201, {"Location": f"/api/maintenance/{row.id}"})


@put(
    "/maintenance/{window_id:str}",
    summary="Change a maintenance window",
    **requires("maintenance:write", 404, *BODY_ERRORS, responses=_OUTDATED),
)
async def change_window(
    request: ApiRequest,
    pool: Injected[Pool],
    window_id: WindowPath,
    data: JSONBody[WindowChange],
    if_match: IfMatch = None,
) -> Response[WindowResponse]:
    """Fields that are not in the body stay unchanged, and so do past occurrences. With `If-Match`: 412 if another user
    has saved the window since; the body contains the current one."""
    try:
        return _response(await change(pool, actor(request), window_id, data, if_match))
    except WindowOutdatedError as error:
        return _outdated(error.stored)


@delete(
    "/maintenance/{window_id:str}",
    summary="Delete a maintenance window",
    **requires("maintenance:delete", 400, 404),
)
async def delete_window(request: ApiRequest, pool: Injected[Pool], window_id: WindowPath) -> None:
    """Users can delete their own windows, admins any; 403 for others. A running occurrence ends; past occurrences stay
    in all reports."""
    await remove(pool, principal_of(request), actor(request), window_id)


class WindowOutdatedError(ApiError):
    """412: another user saved first; `stored` is the current window."""

    def __init__(self, stored: WindowRow) -> None:
        super().__init__(412)
        self.stored = stored


async def between(pool: Pool, principal: Principal | None, start: datetime, end: datetime) -> list[WindowRow]:
    """The windows that take place from `start` to `end` and that `principal` may see, the next one first."""
    values = {"from": start, "to": end, "internal": sees_internal(principal), "limit": MAX_WINDOWS}
    return await database.rows(pool, "maintenance/between", WindowRow, **values)


async def one(pool: Pool, principal: Principal | None, window_id: str, start: datetime, end: datetime) -> WindowRow:
    """A window with its occurrences from `start` to `end`. Raises 404 if there is none that `principal` may see."""
    values = {"id": uuid_or_none(window_id), "internal": sees_internal(principal), "from": start, "to": end}
    return _found(await database.row(pool, "maintenance/one", WindowRow, **values))


async def create(pool: Pool, author: Principal, by: Actor, data: NewWindow) -> WindowRow:
    """Creates a window and plans its occurrences. Raises 400 for invalid fields or an invalid schedule."""
    raise_problems(problems(data))
    now = datetime.now(UTC)
    values = {"description": None, "rrule": None, "time_zone": None, "public": True} | data.given()
    values |= {"created_by": author.user_id, "author": author.name}
    async with database.transaction(pool, by) as connection:
        values["time_zone"] = values["time_zone"] or await _reporting_zone(connection)
        schedule = window_schedule(values["starts_at"], values["ends_at"], values["rrule"], values["time_zone"])
        require_ahead(schedule, now)
        values["rrule"] = _stored_rule(values["rrule"])
        await require_services(connection, data.affected_services)
        window_id = await _insert(connection, values)
        await plan(connection, window_id, schedule, now)
        return await _one(connection, window_id)


async def change(pool: Pool, by: Actor, window_id: str, data: WindowChange, if_match: str | None = None) -> WindowRow:
    """Changes a window. Raises 400 for invalid fields, 404 if there is no such window, WindowOutdatedError if
    `if_match` names another version."""
    raise_problems(problems(data))
    now = datetime.now(UTC)
    given = data.given()
    async with database.transaction(pool, by) as connection:
        current = await _locked(connection, window_id)
        if not allows_version(if_match, current.version):
            raise WindowOutdatedError(current)
        values = {name: given.get(name, getattr(current, name)) for name in _SETTABLE}
        values |= {"id": current.id, "affected_services": given.get("affected_services")}
        schedule = window_schedule(values["starts_at"], values["ends_at"], values["rrule"], values["time_zone"])
        if values["starts_at"] != current.starts_at:
            require_ahead(schedule, now)
        values["rrule"] = _stored_rule(values["rrule"])
        await require_services(connection, given.get("affected_services", []))
        with constraint_errors():
            await connection.execute(sql.query("maintenance/update"), values)
        if any(name in given for name in SCHEDULE_FIELDS):
            await plan(connection, current.id, schedule, now)
        return await _one(connection, current.id)


async def remove(pool: Pool, principal: Principal, by: Actor, window_id: str) -> None:
    """Cancels a window. Raises 403 for the window of another user, unless `principal` is an admin; 404 if there is no
    such window."""
    async with database.transaction(pool, by) as connection:
        row = await _locked(connection, window_id)
        authorise(principal, "maintenance:delete", owner_id=row.created_by)
        await connection.execute("SELECT cancel_maintenance(%s)", [row.id])


def _stored_rule(rrule: str | None) -> str | None:
    return rules.stored(rrule) if rrule is not None else None


async def _insert(connection: Connection, values: dict[str, Any]) -> UUID:
    with constraint_errors():
        row = await (await connection.execute(sql.query("maintenance/create"), values)).fetchone()
    assert row is not None
    window_id: UUID = row[0]
    return window_id


async def _locked(connection: Connection, window_id: str) -> WindowRow:
    """Locks the window until the end of the transaction. Raises 404."""
    key = uuid_or_none(window_id)
    await connection.execute("SELECT FROM maintenance_windows WHERE id = %s FOR NO KEY UPDATE", [key])
    return await _one(connection, key)


async def _one(connection: Connection, key: UUID | None) -> WindowRow:
    start, end = _period(None, None)
    values = {"id": key, "internal": True, "from": start, "to": end}
    async with connection.cursor(row_factory=class_row(WindowRow)) as cursor:
        await cursor.execute(sql.query("maintenance/one"), values)
        return _found(await cursor.fetchone())


async def _reporting_zone(connection: Connection) -> str:
    row = await (await connection.execute("SELECT reporting_time_zone()")).fetchone()
    assert row is not None
    return str(row[0])


def _period(from_: str | None, to: str | None) -> tuple[datetime, datetime]:
    """The start and end of the requested period; by default the 90 days from now. Raises 400."""
    first, last = read_moment("from", from_), read_moment("to", to)
    raise_problems(year_problems("from", first) + year_problems("to", last))
    start = first or datetime.now(UTC)
    end = last or start + DEFAULT_PERIOD
    if not timedelta() < end - start <= MAX_PERIOD:
        raise invalid(FieldProblem.of("to", "period", days=MAX_PERIOD.days))
    return start, end


def _response(row: WindowRow, status: int = 200, headers: dict[str, str] | None = None) -> Response[WindowResponse]:
    return tagged(WindowResponse(row.published()), row.version, status, headers)


def _outdated(row: WindowRow) -> Response[Any]:
    window = row.published()
    headers = {"ETag": etag(row.version, WindowResponse(window))}
    return Response(Conflict(str(ApiError(412)), code_of(412), window), status_code=412, headers=headers)


def _found(row: WindowRow | None) -> WindowRow:
    if row is None:
        raise ApiError(404, "unknown_window")
    return row


router = Router(
    "/api", route_handlers=[list_windows, get_window, create_window, change_window, delete_window], tags=["incidents"]
)
