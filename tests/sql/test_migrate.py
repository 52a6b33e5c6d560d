"""Migrations: idempotent, one at a time, atomic, forward only, and with clear errors."""

import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

import sql.migrate
from sla_monitor.settings import Settings
from sql.aggregates import refresh
from sql.migrate import migrate, migrate_when_possible
from sql.migration_errors import MigrationError, NotNowError, UnreachableError
from tests.api.relay import relay_before
from tests.servers import Server
from tests.sql.batches import PATIENCE_S, connected, fetch, now, record, row, until_waiting, value

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, sys
from sla_monitor.settings import Settings
from sql.migrate import migrate
print(asyncio.run(migrate(sys.argv[1], Settings())).engine)
"""
# The definition of the schema, without generated numbers.
CATALOG = (
    "SELECT c.relname, c.relkind::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attcollation, "
    "pg_get_expr(d.adbin, d.adrelid), c.reloptions::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
    "LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum "
    "WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped",
    "SELECT proname, pg_get_functiondef(p.oid) FROM pg_proc p "
    "LEFT JOIN pg_depend e ON e.objid = p.oid AND e.deptype = 'e' WHERE pronamespace = 'public'::regnamespace "
    "AND e.objid IS NULL",
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace",
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'",
    "SELECT tgrelid::regclass::text, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid "
    "WHERE NOT tgisinternal AND c.relnamespace = 'public'::regnamespace",
    "SELECT typname, enumlabel, enumsortorder FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid",
    "SELECT c.relname, objsubid, description FROM pg_description JOIN pg_class c ON c.oid = objoid "
    "WHERE c.relnamespace = 'public'::regnamespace",
    "SELECT name, checksum FROM schema_versions",
    "SELECT engine, time_zone, retention FROM installation",
)
JOBS = (
    "SELECT proc_name, schedule_interval, config - 'mat_hypertable_id' - 'hypertable_id' "
    "FROM timescaledb_information.jobs"
)
ADD_LOCATION = "INSERT INTO locations (id, name) VALUES ('local', 'local')"
ADD_SERVICE = "INSERT INTO services (id, name, endpoint_url) VALUES ('web', 'Web', 'http://target/')"
MONTH = re.compile(r"checks_\d{6}(?!\d)")
NUMBERED = re.compile(r"_hypertable_\d+\b|_watermark\(\d+\)")


def without_numbers(text: str) -> str:
    return MONTH.sub("checks_MONTH", NUMBERED.sub("_N", text))


async def schema(database_url: str) -> dict[str, list[str]]:
    """Returns the definition of the schema as sorted texts, without the months of `checks`, which depend on the
    date."""
    async with connected(database_url) as connection:
        statements = list(CATALOG)
        if await value(connection, "SELECT engine = 'timescaledb' FROM installation"):
            statements.append(JOBS)
        return {
            statement: sorted({without_numbers(repr(one)) for one in await fetch(connection, statement)})
            for statement in statements
        }


def in_process(database_url: str) -> "subprocess.Popen[str]":
    """Starts a migration in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, database_url],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def reference(engine: Server) -> Iterator[str]:
    """A database of the same engine that was migrated at once."""
    yield (url := engine.migrated_database())
    engine.drop(url)


async def test_a_second_migration_changes_nothing(empty_database: str) -> None:
    first = await migrate(empty_database, Settings())
    before = await schema(empty_database)
    second = await migrate(empty_database, Settings())
    assert first.engine == second.engine
    assert len(first.applied) > 20
    assert second.applied == ()
    assert await schema(empty_database) == before


async def test_five_concurrent_processes_yield_the_same_schema(
    empty_database: str, reference: str, engine: Server
) -> None:
    processes = [in_process(empty_database) for _ in range(5)]
    try:
        outputs = [process.communicate(timeout=PATIENCE_S * 2) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * 5, outputs
    assert {out.strip() for out, _ in outputs} == {engine.name}
    assert await schema(empty_database) == await schema(reference)


class KilledConnection(AsyncConnection[TupleRow]):
    """A connection whose backend is killed before statement number `last`."""

    statements = 0
    last = 0

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        KilledConnection.statements += 1
        if KilledConnection.statements == KilledConnection.last:
            with psycopg.connect(self.info.dsn, password=self.info.password, autocommit=True) as killer:
                killer.execute("SELECT pg_terminate_backend(%s, 5000)", (self.info.backend_pid,))
        return await super().execute(*args, **kwargs)


async def test_a_migration_killed_at_any_statement_changes_nothing(
    empty_database: str, reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed migration leaves the database unchanged, and a complete one yields the same schema."""

    async def connect_killed(database_url: str, *, application: str) -> AsyncConnection[TupleRow]:
        return await KilledConnection.connect(database_url, autocommit=True, application_name=application)

    expected = await schema(reference)
    with monkeypatch.context() as patch:
        patch.setattr(sql.migrate, "connect", connect_killed)
        for last in [1, 2, 3, 4, 5, 6, 7, 8, *random.Random("kill").sample(range(9, 58), 8)]:
            KilledConnection.statements, KilledConnection.last = 0, last
            with pytest.raises(NotNowError):
                await migrate(empty_database, Settings())
            async with connected(empty_database) as connection:
                left = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
                assert await value(connection, left) == 0, f"tables after statement {last}"
    await migrate(empty_database, Settings())
    assert await schema(empty_database) == expected


async def test_a_migration_completes_after_a_killed_process(empty_database: str, reference: str) -> None:
    process = in_process(empty_database)
    busy = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sla-monitor migrate' "
        "AND datname = current_database() AND backend_xid IS NOT NULL"
    )
    try:
        async with connected(empty_database) as connection:
            with anyio.fail_after(PATIENCE_S):
                while not await value(connection, busy) and process.poll() is None:
                    pass
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    await migrate(empty_database, Settings())
    assert await schema(empty_database) == await schema(reference)


async def test_every_file_is_applied(database: str, engine: Server) -> None:
    """The lists in sql/schema.py are complete."""
    expected = {
        f"migrations/{name.split('.')[0]}"
        for name in names("sql", "migrations")
        if name.count(".") == 1 or name.split(".")[1] == engine.name
    }
    expected |= {f"functions/{name.removesuffix('.sql')}" for name in names("sql", "functions")}
    expected |= {f"accounting/{name.removesuffix('.sql')}" for name in names("sql", "accounting")}
    expected |= {f"views/{name.removesuffix('.sql')}" for name in names("sql", "views")}
    of_tiers = [name.removesuffix(".sql") for name in names("sql", "views/of_tiers")]
    expected |= {f"views/{kind}_{tier}" for kind in of_tiers for tier in ("15m", "hourly", "daily")}
    expected |= {f"aggregates/{name.removesuffix('.sql')}" for name in names("continuous_aggregates", ".")}
    own = {f"aggregates/{engine.name}_{name}" for name in ("rollups", "functions")}
    expected |= own | {"aggregates/policies", "check_types/schemas"}
    async with connected(database) as connection:
        applied = {name for (name,) in await fetch(connection, "SELECT name FROM schema_versions")}
    assert applied == expected


def names(package: str, folder: str) -> list[str]:
    return [entry.name for entry in files(package).joinpath(folder).iterdir() if entry.name.endswith(".sql")]


async def test_both_engines_have_the_same_relations(databases: dict[str, str]) -> None:
    """Each aggregate and view has the same name and the same columns of the same types in the same order."""
    if len(databases) < 2:
        pytest.skip(f"ONLY ONE ENGINE FOUND ({', '.join(databases)}): THE TWO WERE NOT COMPARED")
    columns = []
    for url in databases.values():
        async with connected(url) as connection:
            columns.append(
                await fetch(
                    connection,
                    "SELECT table_name, ordinal_position, column_name, data_type, udt_name "
                    "FROM information_schema.columns WHERE table_schema = 'public' "
                    "AND table_name !~ '^checks_[0-9]{6}$' ORDER BY 1, 2",
                )
            )
    assert columns[0] == columns[1]


class TestRefusals:
    @staticmethod
    async def refusal(database_url: str, settings: Settings | None = None) -> str:
        with pytest.raises(MigrationError) as caught:
            await migrate(database_url, settings or Settings())
        line = str(caught.value)
        assert "\n" not in line
        return line

    async def test_an_edited_migration_is_refused(self, database: str) -> None:
        async with connected(database) as connection:
            await connection.execute("UPDATE schema_versions SET checksum = 'x' WHERE name = 'migrations/0003_states'")
        before = await schema(database)
        assert "migrations/0003_states was edited" in await self.refusal(database)
        assert await schema(database) == before

    async def test_a_database_newer_than_the_program_is_refused(self, database: str) -> None:
        async with connected(database) as connection:
            await connection.execute(
                "INSERT INTO schema_versions (name, checksum) VALUES ('migrations/9999_next', 'x')"
            )
        line = await self.refusal(database)
        assert "newer than this program" in line
        assert "upgrade sla-monitor" in line

    async def test_an_unreachable_database_is_an_error_of_one_line(self) -> None:
        with pytest.raises(UnreachableError) as caught:
            await migrate("postgresql://user:secret@127.0.0.1:1/nothing", Settings())
        line = str(caught.value)
        assert "\n" not in line
        assert "DATABASE_URL" in line
        assert "secret" not in line

    @pytest.mark.parametrize(
        "url",
        ["postgresql://u:secret@host:port/x", "postgresql://u:secret@h/x?nonsense=1", "postgresql://u:%zzsecret@h/x"],
    )
    async def test_an_invalid_url_is_refused(self, url: str) -> None:
        line = await self.refusal(url)
        assert "DATABASE_URL" in line
        assert "secret" not in line

    async def test_a_user_without_permissions_is_refused(self, empty_database: str, engine: Server) -> None:
        role = "sla_test_powerless"
        async with connected(empty_database) as connection:
            await connection.execute(f"DROP ROLE IF EXISTS {role}".encode())
            await connection.execute(f"CREATE ROLE {role}".encode())
            try:
                line = await self.refusal(with_options(empty_database, f"-c role={role}"))
            finally:
                await connection.execute(f"DROP ROLE {role}".encode())
        assert "lacks a privilege" in line

    @pytest.mark.engines("timescaledb")
    async def test_an_apache_only_timescaledb_is_refused(self, empty_database: str) -> None:
        apache = with_options(empty_database, "-c timescaledb.license=apache")
        line = await self.refusal(apache)
        assert "Apache-only" in line
        assert "DATABASE_ENGINE=postgresql" in line

        migrated = await migrate(apache, Settings(database_engine="postgresql"))
        assert migrated.engine == "postgresql"
        async with connected(apache) as connection:
            await connection.execute(ADD_LOCATION)
            await connection.execute(ADD_SERVICE)
            assert await record(connection, [row(now())]) == (1, 0, 0)
            assert await value(connection, "SELECT checks FROM service_days") == 1
        assert (await migrate(apache, Settings())).engine == "postgresql", (
            "the engine of an installation does not change"
        )

    @pytest.mark.engines("postgresql")
    async def test_a_missing_timescaledb_is_refused(self, empty_database: str) -> None:
        line = await self.refusal(empty_database, Settings(database_engine="timescaledb"))
        assert "does not load the timescaledb extension" in line


def with_options(database_url: str, options: str) -> str:
    escaped = options.replace(" ", "%20").replace("=", "%3D")
    return f"{database_url}{'&' if '?' in database_url else '?'}options={escaped}"


LOCK = "SELECT pg_advisory_lock(hashtextextended('sla-monitor migrate', 0))"
READ_ONLY = "-c default_transaction_read_only=on"


class TestTemporaryErrors:
    """Temporary conditions have an error of their own and a timeout."""

    async def test_a_read_only_database_with_a_current_schema_is_accepted(self, database: str) -> None:
        whole = await migrate(database, Settings())
        assert await migrate(with_options(database, READ_ONLY), Settings()) == whole

    async def test_a_read_only_database_with_an_old_schema_is_a_temporary_error(
        self, database: str, empty_database: str
    ) -> None:
        async with connected(database) as connection:
            await connection.execute("DELETE FROM schema_versions WHERE name = 'functions/events'")
        for url in (database, empty_database):
            with pytest.raises(NotNowError, match=r"can only be read, and its schema is not up to date") as caught:
                await migrate(with_options(url, READ_ONLY), Settings())
            assert caught.value.exit_code == 75

    async def test_a_migration_waits_for_another_one(
        self, database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(sql.migrate, "LOCK_TIMEOUT_S", 1)
        async with connected(database) as other, anyio.create_task_group() as group:
            await other.execute(LOCK)
            done: list[str] = []

            async def wait() -> None:
                done.append((await migrate_when_possible(database, Settings())).engine)

            group.start_soon(wait)
            with anyio.fail_after(PATIENCE_S):
                while "another process has been migrating for 1 s; it is tried again" not in caplog.text:  # noqa: ASYNC110
                    await anyio.sleep(0.02)
            await until_waiting(other)
            assert done == []
            await other.execute("SELECT pg_advisory_unlock_all()")
        assert len(done) == 1

    async def test_a_connection_lost_at_the_lock_is_a_temporary_error(
        self, database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sql.migrate, "LOCK_TIMEOUT_S", 1)
        monkeypatch.setattr(sql.migrate, "STEP_TIMEOUT_S", 1)
        reasons: list[str] = []
        for end in ("silence", "cut"):
            async with (
                relay_before(database) as relay,
                connected(database) as other,
                anyio.create_task_group() as group,
            ):
                await other.execute(LOCK)

                async def refusal(url: str = relay.url) -> None:
                    with anyio.fail_after(PATIENCE_S), pytest.raises(NotNowError) as caught:
                        await migrate(url, Settings())
                    reasons.append(str(caught.value))

                group.start_soon(refusal)
                await until_waiting(other)
                getattr(relay, end)()
        assert reasons[0] == "the database stopped responding during the migration of its schema"
        assert reasons[1].startswith("the schema cannot be migrated now (")
        assert (await migrate(database, Settings())).applied == ()


class TestSettings:
    async def test_a_new_retention_is_applied(self, database: str) -> None:
        settings = Settings(retention=timedelta(days=500), compress_after=timedelta(days=3))
        migrated = await migrate(database, settings)
        assert migrated.applied == ("aggregates/policies",)
        async with connected(database) as connection:
            assert await value(connection, "SELECT retention FROM installation") == timedelta(days=500)
            await connection.execute(ADD_LOCATION)
            await connection.execute(ADD_SERVICE)
            young = now() - timedelta(days=398)
            assert await record(connection, [row(young)]) == (1, 0, 0)
        assert (await migrate(database, settings)).applied == ()

    async def test_another_time_zone_recomputes_only_the_days(self, database: str) -> None:
        async with connected(database) as connection:
            await connection.execute(ADD_LOCATION)
            await connection.execute(ADD_SERVICE)
            noon = now().replace(hour=12, minute=0, second=0) - timedelta(days=3)
            await record(connection, [row(noon - timedelta(hours=9 - hour)) for hour in range(0, 18, 3)])
            assert await refresh(connection)
            before = await fetch(connection, "SELECT * FROM rollups WHERE tier <> 'daily' ORDER BY tier, bucket")

            assert (await migrate(database, Settings(time_zone="Asia/Seoul"))).applied == ()

            assert await value(connection, "SELECT reporting_time_zone()") == "Asia/Seoul"
            assert (
                await fetch(connection, "SELECT * FROM rollups WHERE tier <> 'daily' ORDER BY tier, bucket") == before
            )
            days = await fetch(connection, "SELECT day, checks FROM service_days ORDER BY day")
            # 03:00 to 18:00 UTC, every three hours: from 15:00 UTC on it is the next day in Seoul.
            assert days == [(noon.date(), 4), (noon.date() + timedelta(days=1), 2)]

    @pytest.mark.parametrize("zone", ["UTC'); DROP TABLE services; --", "Mars/Olympus"])
    async def test_a_time_zone_unknown_to_the_server_is_refused(self, database: str, zone: str) -> None:
        """Settings refuse zones that Python does not know; the server may know fewer."""
        with pytest.raises(MigrationError, match="does not know this time zone"):
            await migrate(database, Settings(time_zone=zone))
        async with connected(database) as connection:
            assert await value(connection, "SELECT reporting_time_zone()") == "UTC"
            assert await value(connection, "SELECT count(*) FROM services") == 0
