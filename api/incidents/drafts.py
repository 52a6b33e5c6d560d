"""Drafts: what somebody has typed about an incident and not saved, kept so that a crashed browser loses nothing.

One for each incident and user, the latest. It ends when its user saves the incident. Each is its user's alone.
"""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Router, delete, get, put
from litestar.params import FromPath, JSONBody
from msgspec import Meta
from psycopg.errors import CheckViolation, ForeignKeyViolation
from psycopg.types.json import Jsonb

import sql
from api.auth.gatekeeper import actor
from api.auth.permissions import Principal, requires
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable
from api.incidents.fields import is_incident_id
from api.incidents.records import not_found
from api.rest.errors import ApiError, invalid, responses
from api.rest.injected import Injected
from api.rest.moments import iso
from api.rest.problems import FieldProblem
from sql import Pool, database
from sql.database import Actor

CACHEABLE: tuple[Cacheable, ...] = ()
MAX_DATA_BYTES = 64 * 1024
MAX_DEPTH = 32


class DraftToSave(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """`data` is any object of at most 64 KB; `baseVersion` is the version of the incident that it is based on."""

    data: dict[str, Any]
    base_version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


class Draft(msgspec.Struct, rename="camel", kw_only=True):
    incident_id: str
    data: dict[str, Any]
    base_version: int | None
    saved_at: str


class DraftAnswer(msgspec.Struct):
    draft: Draft


class DraftList(msgspec.Struct):
    drafts: list[Draft]


class DraftRow(msgspec.Struct):
    incident_id: str
    data: dict[str, Any]
    base_version: int | None
    saved_at: datetime

    def published(self) -> Draft:
        return Draft(
            incident_id=self.incident_id,
            data=self.data,
            base_version=self.base_version,
            saved_at=iso(self.saved_at),
        )


def data_problem(data: Any, field: str = "data") -> FieldProblem | None:
    """Why a JSON value cannot be kept as a draft, for routes and sockets; None where it can."""
    left: list[tuple[Any, int]] = [(data, 1)]
    while left:
        value, depth = left.pop()
        if isinstance(value, str) and "\0" in value:
            return FieldProblem.of(field, "nul")
        if isinstance(value, (dict, list)):
            if depth > MAX_DEPTH:
                return FieldProblem.of(field, "nested_too_deeply")
            inner = [*value, *value.values()] if isinstance(value, dict) else value
            left += [(item, depth + 1) for item in inner]
    if len(msgspec.json.encode(data)) > MAX_DATA_BYTES:
        return FieldProblem.of(field, "too_many_bytes", most=MAX_DATA_BYTES)
    return None


@get(
    "/drafts",
    summary="One's own drafts, newest first",
    tags=["incidents"],
    responses=responses(401, 403, 429, 503),
    **requires("drafts:write"),
)
async def list_drafts(request: ApiRequest, pool: Injected[Pool]) -> DraftList:
    """What is to be offered to somebody who comes back; the newest hundred."""
    rows = await database.rows(pool, "drafts/own", DraftRow, user_id=principal_of(request).user_id)
    return DraftList([row.published() for row in rows])


@get(
    "/incidents/{incident_id:str}/draft",
    summary="One's own draft of an incident",
    tags=["incidents"],
    responses=responses(400, 401, 403, 404, 429, 503),
    **requires("drafts:write"),
)
async def get_draft(request: ApiRequest, pool: Injected[Pool], incident_id: FromPath[str]) -> DraftAnswer:
    """404 where there is none. The drafts of others are not shown to anybody."""
    return DraftAnswer(await one(pool, principal_of(request), incident_id))


@put(
    "/incidents/{incident_id:str}/draft",
    summary="Keep what is not yet saved",
    tags=["incidents"],
    responses=responses(400, 401, 403, 404, 409, 413, 415, 429, 503),
    **requires("drafts:write"),
)
async def save_draft(
    request: ApiRequest,
    pool: Injected[Pool],
    incident_id: FromPath[str],
    data: JSONBody[DraftToSave],
) -> DraftAnswer:
    """In place of the draft before. The others in the room of the incident hear `auto-save`. 409 where one has saved
    the incident since the version that it is based on."""
    return DraftAnswer(await save(pool, principal_of(request), actor(request), incident_id, data))


@delete(
    "/incidents/{incident_id:str}/draft",
    summary="Throw one's own draft away",
    tags=["incidents"],
    responses=responses(400, 401, 403, 404, 429, 503),
    **requires("drafts:write"),
)
async def delete_draft(request: ApiRequest, pool: Injected[Pool], incident_id: FromPath[str]) -> None:
    """404 where there is none."""
    await discard(pool, principal_of(request), actor(request), incident_id)


async def one(pool: Pool, user: Principal, incident_id: str) -> Draft:
    """The user's own draft. Raises 404 where there is none."""
    row = None
    if is_incident_id(incident_id):
        user_id = user.user_id
        row = await database.row(pool, "drafts/one", DraftRow, incident_id=incident_id, user_id=user_id)
    if row is None:
        raise _no_draft()
    return row.published()


async def save(pool: Pool, user: Principal, by: Actor, incident_id: str, data: DraftToSave) -> Draft:
    """Raises 400 for what is not valid, 404 where the incident is gone, 409 where the user has saved it since."""
    if (wrong := data_problem(data.data)) is not None:
        raise invalid(wrong)
    if not is_incident_id(incident_id):
        raise not_found()
    key = {"incident_id": incident_id, "user_id": user.user_id}
    values = key | {"data": Jsonb(data.data), "base_version": data.base_version, "origin": None}
    try:
        async with database.transaction(pool, by) as connection:
            saved = await (await connection.execute(sql.query("drafts/save"), values)).fetchone()
    except ForeignKeyViolation:
        raise not_found() from None
    except CheckViolation:  # numbers that PostgreSQL writes out in full make it longer
        raise invalid(FieldProblem.of("data", "too_many_bytes", most=MAX_DATA_BYTES)) from None
    if saved is None or saved[0] is None:
        raise ApiError(409, "incident_saved")
    row = await database.row(pool, "drafts/one", DraftRow, **key)
    if row is None:
        raise _no_draft()
    return row.published()


async def discard(pool: Pool, user: Principal, by: Actor, incident_id: str) -> None:
    """Raises 404 where there is no draft."""
    if not is_incident_id(incident_id):
        raise _no_draft()
    values = {"incident_id": incident_id, "user_id": user.user_id}
    async with database.transaction(pool, by) as connection:
        if not (await connection.execute(sql.query("drafts/delete"), values)).rowcount:
            raise _no_draft()


def _no_draft() -> ApiError:
    return ApiError(404, "no_draft")


router = Router("/api", route_handlers=[list_drafts, get_draft, save_draft, delete_draft])
