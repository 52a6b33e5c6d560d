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
from api.rest.preconditions import allows_version
from api.rest.problems import FieldProblem
from api.rest.texts import uuid_or_none
from api.sla.policy_fields import DEFAULTS, NewPolicy, PolicyChange, VersionRow, terms_problems
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
    values = DEFAULTS | data.given()
    async with _saving(pool, by) as connection:
        values.setdefault("time_zone", await _scalar(connection, "SELECT reporting_time_zone()", {}))
        raise_problems(subject_problems(data.scope, data.subject) + terms_problems(values))
        values.setdefault("valid_from", await _tomorrow(connection, values["time_zone"]))
        if data.scope == "service":
            await _require_service(connection, data.subject)
        subject = {"scope": data.scope, "subject": data.subject}
        policy_id = await _scalar(connection, sql.query("sla/create_policy"), subject)
        if policy_id is None:
            raise ApiError(409, "policy_exists", [FieldProblem.of("subject", "taken")])
        return await _add(connection, author, policy_id, 1, values)


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
        if "valid_from" not in given:
            del values["valid_from"]
        raise_problems(terms_problems(values))
        values["valid_from"] = await _from_tomorrow(connection, "validFrom", given.get("valid_from"), values)
        return await _add(connection, author, newest.id, newest.version + 1, values)


async def end(pool: Pool, author: Principal, by: Actor, policy_id: str, first_day: date | None) -> None:
    """Ends a policy from a local day on, by default tomorrow. Raises 400 for a day before tomorrow, 404 if there is no
    such policy."""
    async with _saving(pool, by) as connection:
        newest = (await _versions(connection, uuid_or_none(policy_id)))[0]
        values = newest.terms()
        values["valid_from"] = await _from_tomorrow(connection, "from", first_day, values)
        if not newest.ended or newest.valid_from > values["valid_from"]:
            await _add(connection, author, newest.id, newest.version + 1, values, ended=True)


@asynccontextmanager
async def _saving(pool: Pool, by: Actor) -> AsyncIterator[Connection]:
    """A transaction that no other one that saves policies runs beside, so that each sees the tags of the others."""
    async with database.transaction(pool, by) as connection:
        await connection.execute("LOCK TABLE sla_policies IN SHARE ROW EXCLUSIVE MODE")
        yield connection


async def _add(
    connection: Connection,
    author: Principal,
    policy_id: UUID,
    version: int,
    terms: dict[str, Any],
    *,
    ended: bool = False,
) -> list[VersionRow]:
    """Adds a version and returns all versions. Raises 400 for an unknown holiday calendar, 409 for a service with two
    tags that would both have a policy."""
    hours = terms["service_hours"]
    values = terms | {"service_hours": None if hours is None else Jsonb(msgspec.to_builtins(hours))}
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


async def _require_service(connection: Connection, service_id: str | None) -> None:
    cursor = await connection.execute("SELECT FROM services WHERE id = %s", [service_id])
    if cursor.rowcount == 0:
        raise invalid(FieldProblem.of("subject", "unknown_service"))


async def _from_tomorrow(connection: Connection, field: str, day: date | None, terms: dict[str, Any]) -> date:
    """The first day of a later version, by default tomorrow in its time zone. Raises 400 for an earlier one: it would
    change past figures."""
    tomorrow = await _tomorrow(connection, terms["time_zone"])
    if day is not None and day < tomorrow:
        raise invalid(FieldProblem.of(field, "from_day", first=tomorrow.isoformat()))
    return day or tomorrow


async def _tomorrow(connection: Connection, zone: str) -> date:
    """The day after the present one in a time zone. Raises 400 for one that PostgreSQL does not know."""
    try:
        tomorrow = await _scalar(connection, sql.query("sla/tomorrow"), {"zone": zone})
    except InvalidParameterValue:
        raise invalid(FieldProblem.of("timeZone", "time_zone")) from None
    assert isinstance(tomorrow, date)
    return tomorrow


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
