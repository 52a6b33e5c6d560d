"""Corrections: decisions of users on what a time counts as, for service level agreements. They change no raw check.

Corrections are never changed or deleted. They can be withdrawn, so that past figures can be computed again.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from anyio import to_thread
from litestar import Response, Router, get, post
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import Meta
from psycopg.rows import class_row

import sql
from api.auth.gatekeeper import actor
from api.auth.permissions import Principal, requires
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable
from api.maintenance.fields import Moment, RuleText, ZoneName
from api.maintenance.plan import window_schedule
from api.rest.constraints import constraint_errors
from api.rest.errors import BODY_ERRORS, ApiError, invalid, raise_problems
from api.rest.injected import Injected
from api.rest.moments import FromMoment, ToMoment, in_utc, iso, iso_or_none, read_moment, year_problems
from api.rest.pagination import PageNumber, PageSize, Pagination, read_page
from api.rest.problems import FieldProblem
from api.rest.texts import text_problems, uuid_or_none
from api.sla.subjects import Scope, Subject, subject_problems
from sla_monitor.recurrence import rules
from sla_monitor.recurrence.occurrences import stored_occurrences
from sql import Pool, database
from sql.database import Actor, Connection

CACHEABLE: tuple[Cacheable, ...] = ()
LONGEST = timedelta(days=366)
"""The longest time of a correction, or of one of its occurrences."""
Effect = Literal["up", "down", "excluded"]
Category = Literal["maintenance", "deployment", "outside_hours", "false_positive", "other"]
Reason = Annotated[str, Meta(min_length=1, max_length=2000)]
CorrectionPath = Annotated[str, PathParameter(description="The id of a correction")]
ServiceFilter = Annotated[
    str | None,
    QueryParameter(max_length=50, description="The id of a service that the correction is for, by any scope"),
]
WithdrawnFilter = Annotated[
    bool | None, QueryParameter(description="true: only withdrawn corrections; false: only corrections that count")
]


class NewCorrection(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A new correction. `subject`: null if the scope is `everything`. `startsAt` and `endsAt`: of the only or the first
    occurrence, RFC 3339 times with a zone. `timeZone`: by default the reporting time zone."""

    scope: Scope
    subject: Subject | None = None
    effect: Effect
    category: Category
    reason: Reason
    starts_at: Moment
    ends_at: Moment
    rrule: RuleText | None = None
    time_zone: ZoneName | None = None


class Correction(msgspec.Struct, rename="camel", kw_only=True):
    """A correction. `author` and `withdrawnBy`: names of users; they stay after the users are deleted."""

    id: UUID
    scope: Scope
    subject: str | None
    effect: Effect
    category: Category
    reason: str
    starts_at: str
    ends_at: str
    rrule: str | None
    time_zone: str
    author: str
    created_at: str
    withdrawn_at: str | None
    withdrawn_by: str | None


class CorrectionResponse(msgspec.Struct):
    correction: Correction


class CorrectionList(msgspec.Struct):
    corrections: list[Correction]
    pagination: Pagination


class CorrectionRow(msgspec.Struct, kw_only=True):
    """A row of the queries in sla/corrections that return corrections."""

    id: UUID
    scope: Scope
    subject: str | None
    effect: Effect
    category: Category
    reason: str
    starts_at: datetime
    ends_at: datetime
    rrule: str | None
    time_zone: str
    author: str
    created_at: datetime
    withdrawn_at: datetime | None
    withdrawn_by: str | None

    def published(self) -> Correction:
        times = {
            "starts_at": iso(self.starts_at),
            "ends_at": iso(self.ends_at),
            "created_at": iso(self.created_at),
            "withdrawn_at": iso_or_none(self.withdrawn_at),
        }
        return Correction(**(msgspec.structs.asdict(self) | times))


@get(
    "/sla/corrections",
    summary="List corrections",
    **requires("corrections:read", 400),
)
async def list_corrections(
    pool: Injected[Pool],
    service: ServiceFilter = None,
    from_: FromMoment = None,
    to: ToMoment = None,
    withdrawn: WithdrawnFilter = None,
    page: PageNumber = 1,
    limit: PageSize = 50,
) -> CorrectionList:
    """The corrections that pass all filters, newest first. `from` and `to`: corrections with an occurrence in this
    period. `service`: corrections of the service, of its group and tags at the time, and of everything."""
    rows, pagination = await listing(pool, page, limit, service, from_, to, withdrawn)
    return CorrectionList([row.published() for row in rows], pagination)


@get(
    "/sla/corrections/{correction_id:str}",
    summary="Get a correction",
    **requires("corrections:read", 400, 404),
)
async def get_correction(pool: Injected[Pool], correction_id: CorrectionPath) -> CorrectionResponse:
    """The correction, also if it is withdrawn."""
    return CorrectionResponse((await one(pool, correction_id)).published())


@post(
    "/sla/corrections",
    summary="Create a correction",
    **requires("corrections:write", *BODY_ERRORS),
)
async def create_correction(
    request: ApiRequest, pool: Injected[Pool], data: JSONBody[NewCorrection]
) -> Response[CorrectionResponse]:
    """The time counts as up or down, or is excluded. Of corrections that overlap, the newest one counts. With `rrule`
    it recurs in the local time of `timeZone`. A correction that does not recur must not begin in the future. An
    occurrence lasts at most 366 days. 400 for a service that has never existed."""
    row = await create(pool, principal_of(request), actor(request), data)
    content = CorrectionResponse(row.published())
    return Response(content, status_code=201, headers={"Location": f"/api/sla/corrections/{row.id}"})


@post(
    "/sla/corrections/{correction_id:str}/withdraw",
    summary="Withdraw a correction",
    status_code=200,
    **requires("corrections:write", 400, 404, 409),
)
async def withdraw_correction(
    request: ApiRequest, pool: Injected[Pool], correction_id: CorrectionPath
) -> CorrectionResponse:
    """The correction counts no longer. It stays in the list, and in figures as they were known before. 409 if it is
    already withdrawn."""
    row = await withdraw(pool, principal_of(request), actor(request), correction_id)
    return CorrectionResponse(row.published())


async def listing(
    pool: Pool,
    page: int,
    limit: int,
    service: str | None = None,
    from_: str | None = None,
    to: str | None = None,
    withdrawn: bool | None = None,
) -> tuple[list[CorrectionRow], Pagination]:
    """One page of the corrections that pass the filters, newest first. Raises 400 for an invalid filter."""
    start, end = read_moment("from", from_), read_moment("to", to)
    raise_problems(text_problems("service", service) + year_problems("from", start) + year_problems("to", end))
    if start is not None and end is not None and start >= end:
        raise invalid(FieldProblem.of("from", "before_to"))
    filters = {"service": service, "start": start, "end": end, "withdrawn": withdrawn}
    return await read_page(pool, "sla/corrections", CorrectionRow, page, limit, **filters)


async def one(pool: Pool, correction_id: str) -> CorrectionRow:
    """A correction. Raises 404 if there is none."""
    row = await database.row(pool, "sla/corrections/one", CorrectionRow, id=uuid_or_none(correction_id))
    return _found(row)


async def create(pool: Pool, author: Principal, by: Actor, data: NewCorrection) -> CorrectionRow:
    """Creates a correction and stores its occurrences. Raises 400 for invalid fields or an invalid schedule."""
    async with database.transaction(pool, by) as connection:
        return await insert(connection, author, data)


async def insert(connection: Connection, author: Principal, data: NewCorrection, number: int = 0) -> CorrectionRow:
    """As `create`, in a transaction. `number`: the microseconds after now at which the correction is created, because
    of several corrections the newest one counts."""
    starts_at, ends_at = in_utc(data.starts_at), in_utc(data.ends_at)
    raise_problems(_problems(data, starts_at, ends_at))
    now, reporting_zone = await _present(connection)
    time_zone = data.time_zone or reporting_zone
    schedule = window_schedule(starts_at, ends_at, data.rrule, time_zone, LONGEST)
    # In a thread: a daily rule from 2000 to 2100 has more than 36,000 occurrences.
    found, due_at = await to_thread.run_sync(stored_occurrences, schedule, now)
    if starts_at > now and due_at is None and len(found) == 1:  # a rule may have one occurrence
        raise invalid(FieldProblem.of("startsAt", "begun"))
    await _require_subject(connection, data)
    values = msgspec.structs.asdict(data) | {
        "starts_at": starts_at,
        "ends_at": ends_at,
        "rrule": rules.stored(data.rrule) if data.rrule is not None else None,
        "time_zone": time_zone,
        "author": author.name,
        "created_by": author.user_id,
        "created_at": now + timedelta(microseconds=number),
        "due_at": due_at,
        "starts": [occurrence.starts_at for occurrence in found],
        "ends": [occurrence.ends_at for occurrence in found],
    }
    with constraint_errors():
        return _found(await _changed(connection, "sla/corrections/create", values))


async def withdraw(pool: Pool, principal: Principal, by: Actor, correction_id: str) -> CorrectionRow:
    """Withdraws a correction. Raises 404 if there is none, 409 if it is already withdrawn."""
    async with database.transaction(pool, by) as connection:
        return await withdraw_one(connection, principal, correction_id)


async def withdraw_one(connection: Connection, principal: Principal, correction_id: str) -> CorrectionRow:
    """As `withdraw`, in a transaction."""
    values = {"id": uuid_or_none(correction_id), "by": principal.name}
    row = await _changed(connection, "sla/corrections/withdraw", values)
    if row is None:
        _found(await _changed(connection, "sla/corrections/one", values))
        raise ApiError(409, "already_withdrawn")
    return row


def _problems(data: NewCorrection, starts_at: datetime, ends_at: datetime) -> list[FieldProblem]:
    """The problems of fields that types cannot express, except the schedule."""
    found = subject_problems(data.scope, data.subject) + text_problems("reason", data.reason)
    if not data.reason.strip():
        found.append(FieldProblem.of("reason", "empty"))
    return found + year_problems("startsAt", starts_at) + year_problems("endsAt", ends_at)


async def _require_subject(connection: Connection, data: NewCorrection) -> None:
    """Raises 400 if the subject is not a present or former service. Groups and tags are free texts."""
    if data.scope != "service":
        return
    row = await (await connection.execute(sql.query("sla/corrections/known_service"), {"id": data.subject})).fetchone()
    if row is None or not row[0]:
        raise invalid(FieldProblem.of("subject", "unknown_service"))


async def _present(connection: Connection) -> tuple[datetime, str]:
    """The time at which the transaction began, and the reporting time zone."""
    row = await (await connection.execute("SELECT present(), reporting_time_zone()")).fetchone()
    assert row is not None
    return row[0], row[1]


async def _changed(connection: Connection, name: str, values: dict[str, Any]) -> CorrectionRow | None:
    async with connection.cursor(row_factory=class_row(CorrectionRow)) as cursor:
        await cursor.execute(sql.query(name), values)
        return await cursor.fetchone()


def _found(row: CorrectionRow | None) -> CorrectionRow:
    if row is None:
        raise ApiError(404, "unknown_correction")
    return row


router = Router(
    "/api",
    route_handlers=[list_corrections, get_correction, create_correction, withdraw_correction],
    tags=["sla"],
)
