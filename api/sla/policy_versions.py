"""Stores SLA policies. A change adds a version that is valid from a day on, so past figures stay as they are."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, Protocol
from uuid import UUID

import msgspec
from psycopg.errors import ForeignKeyViolation, InvalidParameterValue
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

import sql
from api.auth.permissions import Principal
from api.rest.errors import ApiError, invalid, raise_problems
from api.rest.moments import year_problems
from api.rest.preconditions import allows_version
from api.rest.problems import FieldProblem
from api.rest.texts import uuid_or_none
from api.sla.policy_fields import NewPolicy, PolicyChange, VersionRow
from api.sla.policy_problems import terms_problems
from api.sla.policy_terms import DEFAULTS
from api.sla.subjects import subject_problems
from sql import Pool, database
from sql.database import Actor, Connection


class Author(Protocol):
    """Who adds a version: a user, or a file that declares policies."""

    @property
    def name(self) -> str: ...

    @property
    def user_id(self) -> UUID | None: ...


class PolicyOutdatedError(ApiError):
    """412: another user has added a version; `stored` are the current versions."""

    def __init__(self, stored: Sequence[VersionRow]) -> None:
        super().__init__(412)
        self.stored = stored


async def one(pool: Pool, policy_id: str) -> list[VersionRow]:
    """The versions of a policy, the newest one first. Raises 404 if there is no such policy."""
    key = uuid_or_none(policy_id)
    return _found(await database.rows(pool, "sla/versions", VersionRow, id=key) if key is not None else [])


async def create(pool: Pool, author: Principal, by: Actor, data: NewPolicy) -> list[VersionRow]:
    """Creates a policy with its first version. Raises 400 for invalid fields, 409 for a conflict with another
    policy."""
    async with saving(pool, by) as connection:
        policy_id = await create_within(connection, author, data)
        await require_one_tag(connection, policy_id, 1)
        return await versions_of(connection, policy_id)


async def create_within(connection: Connection, author: Author, data: NewPolicy) -> UUID:
    """Creates a policy with its first version. Returns its id. Raises 400 for invalid fields, 409 if the subject has a
    policy."""
    values = await checked_terms(connection, data)
    subject = {"scope": data.scope, "subject": data.subject}
    policy_id = await _scalar(connection, sql.query("sla/create_policy"), subject)
    if policy_id is None:
        raise ApiError(409, "policy_exists", [FieldProblem.of("subject", "taken")])
    assert isinstance(policy_id, UUID)
    await _insert(connection, author, policy_id, 1, values)
    return policy_id


async def checked_terms(connection: Connection, data: NewPolicy) -> dict[str, Any]:
    """The terms of a new policy with their defaults. Raises 400 for invalid fields."""
    values = await complete(connection, data)
    found = subject_problems(data.scope, data.subject) + terms_problems(values)
    service = data.subject if data.scope == "service" else None
    tomorrow, unknown = await _look_up(connection, values, service, found)
    raise_problems(found + unknown)
    return {"valid_from": tomorrow} | values


async def complete(connection: Connection, data: NewPolicy) -> dict[str, Any]:
    """The terms of a new policy with their defaults, by field; the first day only if it is given."""
    zone = await _scalar(connection, "SELECT reporting_time_zone()", {})
    return DEFAULTS | {"time_zone": zone} | data.given()


async def change(
    pool: Pool, author: Principal, by: Actor, policy_id: str, data: PolicyChange, if_match: str | None = None
) -> list[VersionRow]:
    """Adds a version with the terms of `data` to a policy. Raises 400 for invalid fields, 404 if there is no such
    policy, 409 for a conflict with another policy or if a file declares the policy, PolicyOutdatedError if `if_match`
    names another version."""
    given = data.given()
    async with saving(pool, by) as connection:
        versions = await versions_of(connection, uuid_or_none(policy_id))
        newest = _changeable(versions[0])
        if not allows_version(if_match, newest.version):
            raise PolicyOutdatedError(versions)
        values = newest.terms() | _cleared(given) | given
        await add_within(connection, author, newest, values | {"valid_from": given.get("valid_from")})
        await require_one_tag(connection, newest.id, newest.version + 1)
        return await versions_of(connection, newest.id)


async def add_within(connection: Connection, author: Author, newest: VersionRow, values: dict[str, Any]) -> None:
    """Adds a version with the terms `values`, by field, to a policy. The day None is tomorrow. Raises 400 for invalid
    fields."""
    day = values["valid_from"]
    found = terms_problems(values)
    tomorrow, unknown = await _look_up(connection, values, None, found)
    past = [] if year_problems("validFrom", day) else _past_problems("validFrom", day, tomorrow)
    raise_problems(found + unknown + past)
    await _insert(connection, author, newest.id, newest.version + 1, values | {"valid_from": day or tomorrow})


async def end(pool: Pool, author: Principal, by: Actor, policy_id: str, first_day: date | None) -> None:
    """Ends a policy from a local day on, by default tomorrow. Raises 400 for a day before tomorrow, 404 if there is no
    such policy, 409 if a file declares it."""
    async with saving(pool, by) as connection:
        newest = _changeable((await versions_of(connection, uuid_or_none(policy_id)))[0])
        await end_within(connection, author, newest, first_day)


async def end_within(connection: Connection, author: Author, newest: VersionRow, first_day: date | None = None) -> None:
    """As `end`, in a transaction. `newest`: the newest version of the policy."""
    values = newest.terms()
    tomorrow, unknown = await _look_up(connection, values, None, [])
    raise_problems(unknown + _past_problems("from", first_day, tomorrow))
    values["valid_from"] = first_day or tomorrow
    if not newest.ended or newest.valid_from > values["valid_from"]:
        await _insert(connection, author, newest.id, newest.version + 1, values, ended=True)


@asynccontextmanager
async def saving(pool: Pool, by: Actor | None) -> AsyncIterator[Connection]:
    """A transaction that no other one that saves policies runs beside, so that each sees the tags of the others."""
    async with database.transaction(pool, by) as connection:
        await connection.execute("LOCK TABLE sla_policies IN SHARE ROW EXCLUSIVE MODE")
        yield connection


async def add_version(
    connection: Connection, author: Author, policy_id: UUID, version: int, terms: dict[str, Any]
) -> list[VersionRow]:
    """Adds a version to a policy and returns all its versions. Raises 400 for an unknown holiday calendar, 409 for
    a service with two tags that would both have a policy."""
    await _insert(connection, author, policy_id, version, terms)
    await require_one_tag(connection, policy_id, version)
    return await versions_of(connection, policy_id)


async def _insert(
    connection: Connection,
    author: Author,
    policy_id: UUID,
    version: int,
    terms: dict[str, Any],
    *,
    ended: bool = False,
) -> None:
    """Adds a version. Raises 400 for an unknown holiday calendar."""
    lists = {name: terms[name] and Jsonb(msgspec.to_builtins(terms[name])) for name in ("service_hours", "credits")}
    objective = terms["response_time_objective"]
    values = (
        terms | lists | {"objective_ms": objective and objective.ms, "objective_share": objective and objective.share}
    )
    values |= {"policy_id": policy_id, "version": version, "ended": ended}
    values |= {"author": author.name, "created_by": author.user_id}
    try:
        await connection.execute(sql.query("sla/add_version"), values)
    except ForeignKeyViolation as error:
        if error.diag.constraint_name != "sla_policy_versions_holiday_calendar_fkey":
            raise
        raise invalid(FieldProblem.of("holidayCalendar", "unknown_calendar")) from None


async def require_one_tag(connection: Connection, policy_id: UUID, version: int) -> None:
    """Raises 409 for a service with the tag of the policy and another one that would both have a policy."""
    cursor = await connection.execute(sql.query("sla/second_tag"), {"id": policy_id, "version": version})
    if (found := await cursor.fetchone()) is not None:
        service, tag, other = found
        raise ApiError(409, "two_tag_policies", service=service, tag=tag, other=other)


async def versions_of(connection: Connection, key: UUID | None) -> list[VersionRow]:
    """As `one`, in a transaction."""
    if key is None:
        return _found([])
    async with connection.cursor(row_factory=class_row(VersionRow)) as cursor:
        await cursor.execute(sql.query("sla/versions"), {"id": key})
        return _found(await cursor.fetchall())


async def _look_up(
    connection: Connection, terms: dict[str, Any], service: str | None, found: Sequence[FieldProblem]
) -> tuple[date | None, list[FieldProblem]]:
    """The day after the present one in the time zone of the terms, None if PostgreSQL does not know the zone; and the
    problems of fields that name what does not exist, except those in `found`."""
    wrong = {problem.field for problem in found}
    tomorrow, unknown = None, []
    if "timeZone" not in wrong:
        try:
            async with connection.transaction():
                tomorrow = await _scalar(connection, sql.query("sla/tomorrow"), {"zone": terms["time_zone"]})
        except InvalidParameterValue:
            unknown.append(FieldProblem.of("timeZone", "time_zone"))
    calendar = terms["holiday_calendar"] if "holidayCalendar" not in wrong else None
    subject = service if "subject" not in wrong else None
    names = {"calendar": calendar, "service": subject}
    row = await (await connection.execute(sql.query("sla/known_names"), names)).fetchone()
    assert row is not None
    has_calendar, has_service = row
    if not has_calendar:
        unknown.append(FieldProblem.of("holidayCalendar", "unknown_calendar"))
    if not has_service:
        unknown.append(FieldProblem.of("subject", "unknown_service"))
    return tomorrow, unknown


def _past_problems(field: str, day: date | None, tomorrow: date | None) -> list[FieldProblem]:
    """The problem of a later version that begins before tomorrow: it would change past figures."""
    if day is None or tomorrow is None or day >= tomorrow:
        return []
    return [FieldProblem.of(field, "from_day", first=tomorrow.isoformat())]


async def _scalar(connection: Connection, statement: Any, values: dict[str, Any]) -> Any:
    """The first column of the only row, or None."""
    row = await (await connection.execute(statement, values)).fetchone()
    return row[0] if row is not None else None


def _changeable(newest: VersionRow) -> VersionRow:
    """The newest version of a policy that may be changed. Raises 409 if a file declares the policy, because the file
    would undo the change."""
    if newest.declared_in is not None:
        raise ApiError(409, "policy_declared", file=newest.declared_in)
    return newest


def _cleared(given: dict[str, Any]) -> dict[str, Any]:
    """The fields that a new period or quorum has no use for, as None."""
    unused: dict[str, Any] = {}
    if given.get("period", "rolling") != "rolling":
        unused["rolling_days"] = None
    if given.get("quorum", "number") != "number":
        unused["quorum_locations"] = None
    return unused


def _found(versions: list[VersionRow]) -> list[VersionRow]:
    if not versions:
        raise ApiError(404, "unknown_policy")
    return versions
