"""Brings a database to the schema of this program: forward only, by one process at a time, all in one transaction.

Order: numbered migrations (each applied once), the schemas of check types, functions, rollups (tables once, functions
whenever they change), views, policies. A process that is killed leaves the database as it was; one that comes second
waits.

An installation of release 0.1 keeps its aggregates, and the views that stand on them, until the rollups have all of its
past: `sql.aggregates.refresh` brings that along in the background and then calls `finish_upgrade`.
"""

import hashlib
import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import NamedTuple

import anyio
import msgspec
import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from sla_monitor.checks import CHECK_TYPES
from sla_monitor.checks.config import schema
from sla_monitor.settings import NEW_INSTALLATION, Settings, StartError, Terms, terms
from sql import connect, query
from sql.poolers import shares_sessions

log = logging.getLogger(__name__)

LOCK_TIMEOUT_S = 120
STEP_TIMEOUT_S = 30
"""How long the database may take over a step that waits for no lock. It tells a connection that has fallen silent."""
LONGEST_TIMEOUT_S = 3600
"""The same of a step that may rewrite what is there."""
CLOSE_TIMEOUT_S = 2
RETRY_PAUSES_S = (0.5, 10.0)
"""Before a migration that was not possible is tried again: doubled each time, up to the second number."""
ATTEMPTS = 5
OLDEST_SERVER = 160000
POOLED = (
    "DATABASE_URL is a connection pooler in transaction or statement mode: give the address of PostgreSQL itself, or "
    "set pool_mode = session in PgBouncer"
)
LEGACY = frozenset(
    f"aggregates/{kind}_{tier}" for kind in ("checks", "latency", "phases") for tier in ("15m", "hourly", "daily")
)
"""What release 0.1 recorded of its aggregates in schema_versions."""
ROLLUPS = ("functions", "service_figures", "open_days", "folding", "strips", "rebuild", "upgrade")
ROLLUP_VIEWS = tuple(
    f"{kind}_{tier}" for kind in ("checks", "latency", "phases") for tier in ("15m", "hourly", "daily")
)
VIEWS = (
    *ROLLUP_VIEWS,
    "service_status",
    "service_days",
    "maintenance_periods",
    "watch_server_logs",
    "api_response_times",
    "uptime_records",
    "api_call_logs",
    "audit_log",
    "incident_history",
    "valid_sessions",
    "valid_api_tokens",
)


class MigrationError(StartError):
    """Why the database cannot be used."""


class NotNowError(MigrationError):
    """Why the schema cannot be brought up to date now; it may be later, without anybody's doing here."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class UnreachableError(NotNowError):
    """The database does not answer."""

    @classmethod
    def of(cls, error: psycopg.OperationalError) -> "UnreachableError":
        reason = str(error).strip().splitlines()[0]  # libpq's next lines only guess at what may be wrong
        return cls(f"cannot reach the database ({reason}): check DATABASE_URL")


@dataclass(frozen=True)
class Part:
    """One file of the schema. `once`: never applied again."""

    name: str
    text: str
    once: bool = False

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


class Plan(NamedTuple):
    """The parts to apply, and the terms: those in the database, and those that hold afterwards."""

    due: list[Part]
    kept: Terms
    agreed: Terms
    rezoned: bool


@dataclass(frozen=True)
class Migrated:
    """What `migrate` found and did: the engine, and the names of the parts it applied."""

    engine: str
    applied: tuple[str, ...]


def _folder(package: str, *folders: str) -> Iterator[tuple[str, str]]:
    folder = files(package).joinpath(*folders)
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".sql"):
            yield entry.name.removesuffix(".sql"), entry.read_text("utf-8")


def _rendered(text: str, agreed: Terms, connection: AsyncConnection[TupleRow]) -> str:
    """Fills in what DDL cannot take as parameters, quoted as SQL literals."""
    literals = {name: sql.Literal(value) for name, value in agreed._asdict().items()}
    return sql.SQL(text).format(**literals).as_string(connection)


def _check_schemas(connection: AsyncConnection[TupleRow]) -> str:
    """The function that knows the JSON Schema of each check type's configuration, made of sla_monitor/checks."""
    schemas = {name: schema(kind) for name, kind in CHECK_TYPES.items()}
    literal = sql.Literal(msgspec.json.encode(schemas).decode()).as_string(connection)
    return f"""
        CREATE OR REPLACE FUNCTION check_schema(type text) RETURNS jsonb
            LANGUAGE sql IMMUTABLE PARALLEL SAFE
            RETURN {literal}::jsonb -> type;
    """


def _parts(engine: str, agreed: Terms, connection: AsyncConnection[TupleRow], *, legacy: bool) -> list[Part]:
    """Every file that makes up the schema on this engine, in the order of application. `legacy`: without what would
    take the place of the aggregates of release 0.1."""
    parts = []
    for name, text in _folder("sql", "migrations"):
        number, _, variant = name.partition(".")
        if variant in ("", engine):
            parts.append(Part(f"migrations/{number}", text, once=True))
    parts.append(Part("check_types/schemas", _check_schemas(connection)))
    parts += [Part(f"functions/{name}", text) for name, text in _folder("sql", "functions")]
    shared = dict(_folder("continuous_aggregates"))
    own = dict(_folder("continuous_aggregates", engine))
    if legacy:
        shared.update(_folder("continuous_aggregates", "legacy"))
    parts.append(Part("aggregates/rollups", shared["rollups"], once=True))
    parts.append(Part(f"aggregates/{engine}_rollups", own["rollups"], once=True))
    parts += [Part(f"aggregates/{name}", shared[name]) for name in ROLLUPS]
    parts.append(Part(f"aggregates/{engine}_functions", own["functions"]))
    parts.append(Part("aggregates/begin_upgrade", shared["begin_upgrade"], once=True))
    views = dict(_folder("sql", "views"))
    parts += [Part(f"views/{name}", views[name]) for name in VIEWS if not (legacy and name in ROLLUP_VIEWS)]
    if not legacy:
        parts.append(Part("aggregates/compatibility", shared["compatibility"]))
    parts.append(Part("aggregates/policies", _rendered(own["policies"], agreed, connection)))
    return parts


async def _engine(connection: AsyncConnection[TupleRow], settings: Settings) -> str:
    """The engine this database was set up with, or the best it offers; TimescaleDB's extension is created here."""
    row = await (await connection.execute(query("migrate/engine"))).fetchone()
    assert row is not None
    installed, server_version, encoding, available, license_name = row
    if server_version < OLDEST_SERVER:
        raise MigrationError(f"PostgreSQL 16 or newer is needed, this is {server_version // 10000}")
    if encoding != "UTF8":
        raise MigrationError(
            f"the encoding of this database is {encoding}: give one that was made with ENCODING 'UTF8'"
        )
    if installed:
        known = await (await connection.execute("SELECT engine FROM installation")).fetchone()
        if known is not None:
            return str(known[0])
    if settings.database_engine == "postgresql" or (settings.database_engine == "auto" and not available):
        return "postgresql"
    if not available:
        raise MigrationError("DATABASE_ENGINE=timescaledb, but this server does not load the timescaledb extension")
    if license_name == "apache":
        raise MigrationError(
            "this TimescaleDB is the Apache-only edition, which has no columnstore: install TimescaleDB "
            "Community (timescaledb.license=timescale), or set DATABASE_ENGINE=postgresql to use plain PostgreSQL"
        )
    await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    return "timescaledb"


async def _apply_in_turn(
    connection: AsyncConnection[TupleRow], engine: str, settings: Settings, step: anyio.CancelScope
) -> tuple[str, ...]:
    """Others go on recording and reading: what they hold may be what the schema waits for, and the other way round."""
    for left in reversed(range(ATTEMPTS)):
        try:
            async with connection.transaction():
                return await _apply(connection, engine, settings, step)
        except psycopg.errors.DeadlockDetected:
            if not left:
                raise
            log.info("the schema and a recorder waited for each other: trying again")
    raise AssertionError("unreachable")


async def _apply(
    connection: AsyncConnection[TupleRow], engine: str, settings: Settings, step: anyio.CancelScope
) -> tuple[str, ...]:
    await connection.execute(query("migrate/versions_table"))
    # Before any table: who records holds this lock and then waits for tables.
    _allow(step, LOCK_TIMEOUT_S)
    await connection.execute(query("migrate/lock_recording"))
    known = await _known(connection)
    plan = await _plan(connection, engine, settings, known)
    if any(part.name.startswith("views/") for part in plan.due):
        _allow(step, LOCK_TIMEOUT_S)
        await _drop_views(connection, known)

    await _apply_parts(connection, plan.due, engine, plan.agreed, step)
    await connection.execute(query("migrate/remember_retention"))
    await _describe(connection, engine, plan.agreed)
    _allow(step, LONGEST_TIMEOUT_S if plan.rezoned else LOCK_TIMEOUT_S)
    if plan.rezoned:
        await connection.execute("SELECT rebuild_days()")
    # Under the retention of now, and also where no program has run for weeks: the first check must find its partition.
    await connection.execute(query("housekeeping/keep_partitions"))
    return tuple(part.name for part in plan.due)


def _allow(step: anyio.CancelScope, seconds: float) -> None:
    """The next step may take so long, beside what any step may."""
    step.deadline = anyio.current_time() + STEP_TIMEOUT_S + seconds


async def _known(connection: AsyncConnection[TupleRow]) -> dict[str, str]:
    """What has been applied: names and checksums."""
    rows = await (await connection.execute("SELECT name, checksum FROM schema_versions")).fetchall()
    return dict(rows)


async def _plan(connection: AsyncConnection[TupleRow], engine: str, settings: Settings, known: dict[str, str]) -> Plan:
    """What there is to do; changes nothing. Raises MigrationError where it must not be done."""
    kept = await _kept_terms(connection) if known else NEW_INSTALLATION
    agreed = terms(settings, kept)
    legacy = not LEGACY.isdisjoint(known)
    if legacy:
        agreed = _with_retention_of(kept, agreed)
    parts = _parts(engine, agreed, connection, legacy=legacy)

    names = {part.name for part in parts}
    strangers = sorted(name for name in known if name.startswith("migrations/") and name not in names)
    if strangers:
        raise MigrationError(f"the database is newer than this program ({strangers[0]}): upgrade sla-monitor")
    due = [part for part in parts if known.get(part.name) != part.checksum]
    edited = [part for part in due if part.once and part.name in known]
    if edited:
        raise MigrationError(f"{edited[0].name} was edited after it had been applied: restore it, add a new migration")
    rezoned = bool(known) and agreed.time_zone != kept.time_zone
    if rezoned or not known:
        await _check_time_zone(connection, agreed.time_zone)
    else:
        await _check_kept_time_zone(connection, agreed.time_zone)
    if rezoned and legacy:
        raise MigrationError(
            "the figures of release 0.1 are still being brought along in the background: "
            "leave SLA_MONITOR_TIMEZONE as it was until that is done"
        )
    if any(part.name.startswith("views/") for part in due):
        due = [part for part in parts if part in due or part.name.startswith("views/")]
    return Plan(due, kept, agreed, rezoned)


async def _apply_parts(
    connection: AsyncConnection[TupleRow], due: list[Part], engine: str, agreed: Terms, step: anyio.CancelScope
) -> None:
    for part in due:
        _allow(step, LONGEST_TIMEOUT_S if part.once else LOCK_TIMEOUT_S)
        await connection.execute(part.text.encode())
        await connection.execute(query("migrate/record_version"), {"name": part.name, "checksum": part.checksum})
        if part.name == "migrations/0001_services":
            await _describe(connection, engine, agreed)


async def finish_upgrade(connection: AsyncConnection[TupleRow]) -> bool:
    """Puts the views on the rollups and removes the aggregates of release 0.1, if all of their past is in the rollups.
    False where there is nothing to finish, or not yet. The connection must be in autocommit mode."""
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = '10s'")
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('sla-monitor migrate', 0))")
        await connection.execute("SELECT lock_recording()")
        row = await (await connection.execute(query("migrate/upgrade_left"))).fetchone()
        if row is None or row[0] is None or row[0] > 0:
            return False
        engine = str(row[1])
        agreed = await _kept_terms(connection)
        known = await _known(connection)
        await _drop_views(connection, known)
        await connection.execute(dict(_folder("continuous_aggregates", engine))["drop_legacy"].encode())
        await connection.execute("UPDATE rollup_state SET legacy = false")
        await connection.execute("DELETE FROM schema_versions WHERE name = ANY (%s)", ([*LEGACY],))
        parts = _parts(engine, agreed, connection, legacy=False)
        due = [part for part in parts if part.name.startswith("views/") or known.get(part.name) != part.checksum]
        with anyio.CancelScope() as step:
            await _apply_parts(connection, due, engine, agreed, step)
    log.info("the figures of release 0.1 are all in the rollups: its aggregates are removed")
    return True


async def _kept_terms(connection: AsyncConnection[TupleRow]) -> Terms:
    row = await (await connection.execute(query("migrate/kept_terms"))).fetchone()
    return Terms(*row) if row else NEW_INSTALLATION


def _with_retention_of(kept: Terms, agreed: Terms) -> Terms:
    """Not shorter than it was: what has come late must reach the rollups before its raw checks go."""
    if agreed.retention >= kept.retention:
        return agreed
    log.warning("CHECK_RETENTION stays as it was until the figures of release 0.1 are brought along; start again then")
    return agreed._replace(retention=kept.retention)


async def _check_time_zone(connection: AsyncConnection[TupleRow], name: str) -> None:
    row = await (await connection.execute(query("migrate/knows_time_zone"), {"name": name})).fetchone()
    if row is None or not row[0]:
        raise MigrationError(f"SLA_MONITOR_TIMEZONE={name}: the database server does not know this time zone")


async def _check_kept_time_zone(connection: AsyncConnection[TupleRow], name: str) -> None:
    """An installation may have moved to a server that has fewer time zones."""
    try:
        async with connection.transaction():
            await connection.execute(query("migrate/try_time_zone"), {"name": name})
    except psycopg.errors.InvalidParameterValue:
        raise MigrationError(
            f"the database server does not know {name}, the time zone of this installation: give the server the zones "
            "that it lacks (old names are in tzdata-legacy), or set SLA_MONITOR_TIMEZONE to another name of it"
        ) from None


async def _describe(connection: AsyncConnection[TupleRow], engine: str, agreed: Terms) -> None:
    await connection.execute(query("migrate/installation"), {"engine": engine, **agreed._asdict()})


async def _drop_views(connection: AsyncConnection[TupleRow], known: dict[str, str]) -> None:
    for name in known:
        folder, _, view = name.partition("/")
        if folder == "views":
            await connection.execute(sql.SQL("DROP VIEW IF EXISTS {} CASCADE").format(sql.Identifier(view)))


async def migrate(database_url: str, settings: Settings) -> Migrated:
    """Brings the database up to date. Raises MigrationError, one line, when that cannot be done, NotNowError when that
    may pass. It never waits for ever, however the database behaves."""
    try:
        with anyio.fail_after(STEP_TIMEOUT_S):
            connection = await connect(database_url, application="sla-monitor migrate")
    except TimeoutError:
        raise UnreachableError(f"cannot reach the database (no answer within {STEP_TIMEOUT_S} s)") from None
    except psycopg.OperationalError as error:
        raise UnreachableError.of(error) from error
    except psycopg.ProgrammingError:  # its text is not shown: it quotes the URL, which may hold a password
        raise MigrationError("DATABASE_URL is not a valid URL: check its port, parameters and %-escapes") from None
    try:
        with anyio.fail_after(STEP_TIMEOUT_S) as step:
            if await shares_sessions(connection, database_url):
                raise MigrationError(POOLED)
            migrated = await _migrate(connection, settings, step)
    except TimeoutError:
        raise UnreachableError("the database fell silent while its schema was brought up to date") from None
    except psycopg.errors.LockNotAvailable as error:
        raise NotNowError(f"another process has been migrating for {LOCK_TIMEOUT_S} s") from error
    except psycopg.errors.ReadOnlySqlTransaction as error:
        raise NotNowError("the database can only be read, and its schema is not up to date") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(f"the database user lacks a right: {error.diag.message_primary}") from error
    except (psycopg.OperationalError, psycopg.errors.IdleInTransactionSessionTimeout) as error:
        reason = str(error).strip().splitlines()[0]
        raise NotNowError(f"the schema cannot be brought up to date now ({reason})") from error
    finally:
        with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
            await connection.close()
    if migrated.applied:
        log.info("the schema is brought up to date: %d parts applied, on %s", len(migrated.applied), migrated.engine)
    return migrated


async def _migrate(connection: AsyncConnection[TupleRow], settings: Settings, step: anyio.CancelScope) -> Migrated:
    await connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'".encode())
    # Statements follow each other at once. Should this process vanish behind a dead network, the lock must not stay.
    await connection.execute(f"SET idle_session_timeout = '{LOCK_TIMEOUT_S}s'".encode())
    await connection.execute(f"SET idle_in_transaction_session_timeout = '{LOCK_TIMEOUT_S}s'".encode())
    await connection.execute("SET client_min_messages = warning")
    engine = await _current_engine(connection, settings)
    if engine is not None:
        return Migrated(engine, ())
    _allow(step, LOCK_TIMEOUT_S)
    await connection.execute("SELECT pg_advisory_lock(hashtextextended('sla-monitor migrate', 0))")
    _allow(step, 0)
    engine = await _engine(connection, settings)
    return Migrated(engine, await _apply_in_turn(connection, engine, settings, step))


async def _current_engine(connection: AsyncConnection[TupleRow], settings: Settings) -> str | None:
    """The engine of a database that can only be read now and whose schema is up to date: it can be used as it is.
    None of all others."""
    if await (await connection.execute(query("migrate/only_readable"))).fetchone() != (True,):
        return None
    engine = await _engine(connection, settings)
    plan = await _plan(connection, engine, settings, await _known(connection))
    if plan.due or plan.agreed != plan.kept:
        return None
    log.warning("the database can only be read; its schema is up to date")
    return engine


async def migrate_when_possible(database_url: str, settings: Settings) -> Migrated:
    """As `migrate`, and again as long as it raises NotNowError, which is logged."""
    pause_s, longest_s = RETRY_PAUSES_S
    said = ""
    while True:
        try:
            return await migrate(database_url, settings)
        except NotNowError as error:
            if str(error) != said:
                said = str(error)
                log.warning("%s; it is tried again until it succeeds", said)
        await anyio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - not a secret
        pause_s = min(longest_s, 2 * pause_s)
