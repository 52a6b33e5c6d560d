"""Migrations: idempotent, one at a time, atomic, and with the settings applied."""

import random
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
from sql.migrate import migrate
from sql.migration_errors import MigrationError, NotNowError
from tests.servers import Server
from tests.sql.batches import PATIENCE_S, connected, fetch, now, record, row, value
from tests.sql.schemas import ADD_LOCATION, ADD_SERVICE, schema

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, sys
from sla_monitor.settings import Settings
from sql.migrate import migrate
print(asyncio.run(migrate(sys.argv[1], Settings())).engine)
"""


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
    for kind in ("views", "analytics"):
        expected |= {f"{kind}/{name.removesuffix('.sql')}" for name in names("sql", kind)}
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
