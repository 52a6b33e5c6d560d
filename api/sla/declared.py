"""SLA policies that a file declares (see `policy_files`). The file is applied at the start and after every change,
completely or not at all.

A policy whose terms the file changes gets a new version, valid from tomorrow or from its `validFrom`; applying the same
file again adds none. A policy that is removed from the file ends tomorrow and can then be administered over REST. If a
policy that was created over REST is added to the file, the file administers it from then on.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import anyio
import msgspec

import sql
from api.rest import declared_files
from api.rest.declared_files import Changes, ConflictError
from api.rest.errors import ApiError
from api.sla import policy_files
from api.sla.declared_policy import DeclaredPolicy
from api.sla.policy_fields import NewPolicy
from api.sla.policy_versions import (
    add_within,
    complete,
    create_within,
    end_within,
    require_one_tag,
    saving,
    versions_of,
)
from sla_monitor.settings import Settings
from sql import Pool, database
from sql.database import Connection


class FileAuthor(NamedTuple):
    """The author of the versions of a file: its name."""

    name: str
    user_id: UUID | None = None


class _Stored(msgspec.Struct):
    """A row of the query sla/declared."""

    id: UUID
    scope: str
    subject: str | None

    @property
    def label(self) -> str:
        return _label(self.scope, self.subject)


async def apply(path: Path, pool: Pool) -> Changes:
    """Reads the file and stores its policies in one transaction. Returns the changes. Raises DeclarationError."""
    return await store(path, await anyio.to_thread.run_sync(policy_files.read, path), pool)


async def store(path: Path, declared: Sequence[DeclaredPolicy], pool: Pool) -> Changes:
    """Stores the policies in one transaction. Returns the changes. Raises ConflictError with all problems if the stored
    data refuse a policy."""
    author = FileAuthor(path.name)
    problems: list[str] = []
    applied: list[tuple[DeclaredPolicy, UUID, int]] = []
    async with saving(pool, None) as connection:
        changes = [(label, "released") for label in await _release(connection, author, declared)]
        for one in declared:
            try:
                async with connection.transaction():
                    stored = await _apply(connection, author, one.policy)
            except ApiError as error:
                problems += one.refused(error)
                continue
            if stored is not None:
                applied.append((one, *stored))
                changes.append((_label(one.policy.scope, one.policy.subject), "applied"))
        for one, policy_id, version in applied:  # after all changes, as policies may exchange their tags
            try:
                await require_one_tag(connection, policy_id, version)
            except ApiError as error:
                problems += one.refused(error)
        if problems:
            raise ConflictError(policy_files.message(path, problems))
    return sorted(changes)


async def _apply(connection: Connection, author: FileAuthor, policy: NewPolicy) -> tuple[UUID, int] | None:
    """Stores a policy of the file. Returns its id and newest version, None without a change. Raises ApiError."""
    values = await complete(connection, policy)
    subject = {"scope": policy.scope, "subject": policy.subject}
    row = await (await connection.execute(sql.query("sla/policy_of_subject"), subject)).fetchone()
    if row is None:
        policy_id = await create_within(connection, author, policy)
        await _declare(connection, policy_id, author.name)
        return policy_id, 1
    newest = (await versions_of(connection, row[0]))[0]
    first_day = values.pop("valid_from", None)
    same = {name: value for name, value in newest.terms().items() if name != "valid_from"} == values
    if same and not newest.ended and first_day in (None, newest.valid_from):
        if newest.declared_in == author.name:
            return None
        await _declare(connection, newest.id, author.name)
        return newest.id, newest.version
    await add_within(connection, author, newest, values | {"valid_from": first_day})
    await _declare(connection, newest.id, author.name)
    return newest.id, newest.version + 1


async def _release(connection: Connection, author: FileAuthor, declared: Sequence[DeclaredPolicy]) -> list[str]:
    """Ends the policies that the file no longer declares. Returns what they are for."""
    kept = {(one.policy.scope, one.policy.subject) for one in declared}
    rows = await (await connection.execute(sql.query("sla/declared"), {"file": author.name})).fetchall()
    released = [one for one in (_Stored(*row) for row in rows) if (one.scope, one.subject) not in kept]
    for one in released:
        await end_within(connection, author, (await versions_of(connection, one.id))[0])
        await _declare(connection, one.id, None)
    return [one.label for one in released]


async def _declare(connection: Connection, policy_id: UUID, file: str | None) -> None:
    await connection.execute(sql.query("sla/declare"), {"id": policy_id, "file": file})


def _label(scope: str, subject: str | None) -> str:
    return scope if subject is None else f"{scope} {subject}"


class PolicyFile:
    """A file with SLA policies, for `declared_files.watch`."""

    release = "they end tomorrow and are released"

    def __init__(self, path: Path, pool: Pool) -> None:
        self.path = path
        self._pool = pool

    def parse(self, content: bytes) -> list[DeclaredPolicy]:
        return policy_files.parse(self.path, content)

    async def released(self, declared: list[DeclaredPolicy]) -> list[str]:
        kept = {(one.policy.scope, one.policy.subject) for one in declared}
        stored = await database.rows(self._pool, "sla/declared", _Stored, file=self.path.name)
        return [one.label for one in stored if (one.scope, one.subject) not in kept]

    async def store(self, declared: list[DeclaredPolicy]) -> Changes:
        return await store(self.path, declared, self._pool)


async def watch(settings: Settings, pool: Pool) -> None:
    """Applies SLA_FILE now and after every change, until cancelled."""
    if settings.sla_file is not None:
        await declared_files.watch(PolicyFile(settings.sla_file, pool))
