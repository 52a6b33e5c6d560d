"""Drafts: unsaved changes of an incident, which survive a crash of the browser.

Each user has at most one draft for each incident. Only this user can read it. It is deleted when the user saves the
incident.
"""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Router, delete, get, put
from litestar.params import JSONBody
from msgspec import Meta
from psycopg.errors import CheckViolation, ForeignKeyViolation
from psycopg.types.json import Jsonb

import sql
from api.auth.gatekeeper import actor
from api.auth.permissions import Principal, requires
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable
from api.incidents.fields import MAX_DATA_BYTES, IncidentPath, data_problem, is_incident_id
from api.incidents.records import not_found
from api.rest.errors import BODY_ERRORS, ApiError, invalid
from api.rest.injected import Injected
from api.rest.moments import iso
from api.rest.problems import FieldProblem
from sql import Pool, database
from sql.database import Actor

CACHEABLE: tuple[Cacheable, ...] = ()


class DraftToSave(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """`data`: any JSON object of at most 64 KiB and 32 levels. `baseVersion`: the version of the incident that the
    changes are based on."""

    data: dict[str, Any]
    base_version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


class Draft(msgspec.Struct, rename="camel", kw_only=True):
    """A draft. `baseVersion`: the version of the incident that the changes are based on."""

    incident_id: str
    data: dict[str, Any]
    base_version: int | None
    saved_at: str


class DraftResponse(msgspec.Struct):
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


@get(
    "/drafts",
    summary="List my drafts",
    **requires("drafts:write"),
)
async def list_drafts(request: ApiRequest, pool: Injected[Pool]) -> DraftList:
    """The newest 100 drafts of the user, newest first. Drafts of other users are never included."""
    rows = await database.rows(pool, "drafts/own", DraftRow, user_id=principal_of(request).user_id)
    return DraftList([row.published() for row in rows])


@get(
    "/incidents/{incident_id:str}/draft",
    summary="Get my draft of an incident",
    **requires("drafts:write", 400, 404),
)
async def get_draft(request: ApiRequest, pool: Injected[Pool], incident_id: IncidentPath) -> DraftResponse:
    """404 if the user has no draft of the incident. Drafts of other users cannot be read."""
    return DraftResponse(await one(pool, principal_of(request), incident_id))


@put(
    "/incidents/{incident_id:str}/draft",
    summary="Save my draft of an incident",
    **requires("drafts:write", 404, 409, *BODY_ERRORS),
)
async def save_draft(
    request: ApiRequest,
    pool: Injected[Pool],
    incident_id: IncidentPath,
    data: JSONBody[DraftToSave],
) -> DraftResponse:
    """Replaces the previous draft. Other users in the room of the incident get the event `auto-save`. 409 if the user
    has saved the incident since `baseVersion`. 404 if there is no such incident."""
    return DraftResponse(await save(pool, principal_of(request), actor(request), incident_id, data))


@delete(
    "/incidents/{incident_id:str}/draft",
    summary="Delete my draft of an incident",
    **requires("drafts:write", 400, 404),
)
async def delete_draft(request: ApiRequest, pool: Injected[Pool], incident_id: IncidentPath) -> None:
    """404 if the user has no draft of the incident."""
    await discard(pool, principal_of(request), actor(request), incident_id)


async def one(pool: Pool, user: Principal, incident_id: str) -> Draft:
    """The user's own draft. Raises 404 if there is none."""
    row = None
    if is_incident_id(incident_id):
        user_id = user.user_id
        row = await database.row(pool, "drafts/one", DraftRow, incident_id=incident_id, user_id=user_id)
    if row is None:
        raise _no_draft()
    return row.published()


async def save(pool: Pool, user: Principal, by: Actor, incident_id: str, data: DraftToSave) -> Draft:
    """Stores a draft and returns it. Raises what `store` raises."""
    await store(pool, user, by, incident_id, data)
    return await one(pool, user, incident_id)


async def store(
    pool: Pool, user: Principal, by: Actor, incident_id: str, data: DraftToSave, origin: str | None = None
) -> str:
    """Stores a draft. Returns the time at which it was saved, in the format of the API. `origin`: the id of the socket
    that sent the draft; this socket does not get the event.

    Raises 400 for invalid data, 404 if there is no such incident, 409 if the user has saved it since `base_version`.
    """
    if (problem := data_problem(data.data)) is not None:
        raise invalid(problem)
    if not is_incident_id(incident_id):
        raise not_found()
    values = {
        "incident_id": incident_id,
        "user_id": user.user_id,
        "data": Jsonb(data.data),
        "base_version": data.base_version,
        "origin": origin,
    }
    try:
        async with database.transaction(pool, by) as connection:
            saved = await (await connection.execute(sql.query("drafts/save"), values)).fetchone()
    except ForeignKeyViolation:
        raise not_found() from None
    except CheckViolation:  # the data is longer in PostgreSQL, which writes numbers without exponents
        raise invalid(FieldProblem.of("data", "too_many_bytes", most=MAX_DATA_BYTES)) from None
    if saved is None or saved[0] is None:
        raise ApiError(409, "incident_saved")
    return str(saved[0])


async def discard(pool: Pool, user: Principal, by: Actor, incident_id: str) -> None:
    """Deletes the user's own draft. Raises 404 if there is none."""
    if not is_incident_id(incident_id):
        raise _no_draft()
    values = {"incident_id": incident_id, "user_id": user.user_id}
    async with database.transaction(pool, by) as connection:
        if not (await connection.execute(sql.query("drafts/delete"), values)).rowcount:
            raise _no_draft()


def _no_draft() -> ApiError:
    return ApiError(404, "no_draft")


router = Router("/api", route_handlers=[list_drafts, get_draft, save_draft, delete_draft], tags=["incidents"])
