"""Stores SLA policies. A change adds a version that is valid from a day on, so past figures stay as they are."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Any
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
    async with _saving(pool, by) as connection:
        values = await checked_terms(connection, data)
        subject = {"scope": data.scope, "subject": data.subject}
        policy_id = await _scalar(connection, sql.query("sla/create_policy"), subject)
        if policy_id is None:
            raise ApiError(409, "policy_exists", [FieldProblem.of("subject", "taken")])
        return await add_version(connection, author, policy_id, 1, values)


async def checked_terms(connection: Connection, data: NewPolicy) -> dict[str, Any]:
    """The terms of a new policy with their defaults. Raises 400 for invalid fields."""
    values = DEFAULTS | data.given()
    values.setdefault("time_zone", await _scalar(connection, "SELECT reporting_time_zone()", {}))
    found = subject_problems(data.scope, data.subject) + terms_problems(values)
    service = data.subject if data.scope == "service" else None
    tomorrow, unknown = await _look_up(connection, values, service, found)
    raise_problems(found + unknown)
    values.setdefault("valid_from", tomorrow)
    return values


async def change(
    pool: Pool, author: Principal, by: Actor, policy_id: str, data: PolicyChange, if_match: str | None = None
) -> list[VersionRow]:
    """Adds a version with the terms of `data` to a policy. Raises 400 for invalid fields, 404 if there is no such
    policy, 409 for a conflict with another policy, PolicyOutdatedError if `if_match` names another version."""
    given = data.given()
    async with _saving(pool, by) as connection:
        versions = await _versions(connection, uuid_or_none(policy_id))
        newest = versions[0]
        if not allows_version(if_match, newest.version):
            raise PolicyOutdatedError(versions)
        values = newest.terms() | _cleared(given) | given
        values["valid_from"] = day = given.get("valid_from")
        found = terms_problems(values)
        tomorrow, unknown = await _look_up(connection, values, None, found)
        past = [] if year_problems("validFrom", day) else _past_problems("validFrom", day, tomorrow)
        raise_problems(found + unknown + past)
        values["valid_from"] = day or tomorrow
        return await add_version(connection, author, newest.id, newest.version + 1, values)


async def end(pool: Pool, author: Principal, by: Actor, policy_id: str, first_day: date | None) -> None:
    """Ends a policy from a local day on, by default tomorrow. Raises 400 for a day before tomorrow, 404 if there is no
    such policy."""
    async with _saving(pool, by) as connection:
        newest = (await _versions(connection, uuid_or_none(policy_id)))[0]
        values = newest.terms()
        tomorrow, unknown = await _look_up(connection, values, None, [])
        raise_problems(unknown + _past_problems("from", first_day, tomorrow))
        values["valid_from"] = first_day or tomorrow
        if not newest.ended or newest.valid_from > values["valid_from"]:
            await add_version(connection, author, newest.id, newest.version + 1, values, ended=True)


@asynccontextmanager
async def _saving(pool: Pool, by: Actor) -> AsyncIterator[Connection]:
    """A transaction that no other one that saves policies runs beside, so that each sees the tags of the others."""
    async with database.transaction(pool, by) as connection:
        await connection.execute("LOCK TABLE sla_policies IN SHARE ROW EXCLUSIVE MODE")
        yield connection


async def add_version(
    connection: Connection,
    author: Principal,
    policy_id: UUID,
    version: int,
    terms: dict[str, Any],
    *,
    ended: bool = False,
) -> list[VersionRow]:
    """Adds a version to a policy and returns all its versions. Raises 400 for an unknown holiday calendar, 409 for
    a service with two tags that would both have a policy."""
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
    cursor = await connection.execute(sql.query("sla/second_tag"), {"id": policy_id, "version": version})
    if (found := await cursor.fetchone()) is not None:
        service, tag, other = found
        raise ApiError(409, "two_tag_policies", service=service, tag=tag, other=other)
    return await _versions(connection, policy_id)


async def _versions(connection: Connection, key: UUID | None) -> list[VersionRow]:
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
