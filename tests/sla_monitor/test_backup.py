"""`sla-monitor backup` and `restore`: all rows are the same afterwards, and a failed restore changes nothing."""

import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sla_monitor.command.backup import BackupError, backup, restore
from sla_monitor.command.client_programs import Program, ProgramError, suitable
from sla_monitor.command.first_admin import create_first_admin
from sla_monitor.settings import Settings
from sql.aggregates import refresh
from sql.migrate import migrate
from tests.api.transports import incident
from tests.e2e.conftest import home_folder
from tests.e2e.program import command
from tests.servers import Server
from tests.sql.batches import (
    DAY,
    Connection,
    add_locations,
    add_services,
    connected,
    fetch,
    is_timescaledb,
    now,
    record,
    row,
    set_clock,
    value,
)
from tests.sql.histories import LOCATIONS, SERVICES, batches, history

ZONE = "Europe/Vienna"
EVERYTHING = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') "
    "AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e') ORDER BY 1"
)
ISSUED_REPORT = (
    "INSERT INTO sla_reports (first_day, last_day, scope, as_of, revision, report, author) "
    "VALUES ('2026-01-01', '2026-01-31', '{}', now(), 1, '{\"services\": []}', 'ann')"
)
OLD_CHUNKS = "SELECT compress_chunk(chunk) FROM show_chunks('checks', older_than => now() - interval '2 days') AS chunk"


@pytest.fixture
def new_database(engine: Server) -> Iterator[str]:
    yield (url := engine.empty_database())
    engine.drop(url)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def settings_of(database: str) -> Settings:
    return Settings(database_url=database)


async def fill(database: str) -> int:
    """Fills a database with a year of checks, also late ones in compressed chunks, a user and an incident. Returns the
    number of checks."""
    dice = random.Random("backup")
    rows = history(ZONE, dice)
    await migrate(database, Settings(time_zone=ZONE))
    await create_first_admin(database)
    async with connected(database) as db:
        await add_locations(db, *LOCATIONS)
        await add_services(db, *SERVICES)
        await incident(db)
        await db.execute("UPDATE incidents SET status = 'resolved'")
        await db.execute(ISSUED_REPORT)
        runs = batches(rows, dice)
        for number, run in enumerate(runs):
            await record(db, run)
            if number == len(runs) // 2 and await is_timescaledb(db):
                await db.execute(OLD_CHUNKS.encode())
        assert await refresh(db)
        await db.execute("SELECT expire_states()")
        await set_clock(db, now())
    return len(rows)


async def everything(db: Connection) -> dict[str, list[str]]:
    """Every row of every table and view, as text."""
    return {
        name: [line for (line,) in await fetch(db, f'SELECT one::text FROM public."{name}" AS one ORDER BY 1')]
        for (name,) in await fetch(db, EVERYTHING)
    }


async def test_a_restored_database_has_the_same_rows_and_can_be_used(
    database: str, new_database: str, tmp_path: Path
) -> None:
    checks = await fill(database)
    file = tmp_path / "sla.backup"
    await backup(settings_of(database), file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == [file.name]

    await restore(settings_of(new_database), file)

    async with connected(database) as one, connected(new_database) as other:
        found, expected = await everything(other), await everything(one)
        assert found.keys() == expected.keys() >= {"checks", "rollups", "outages", "uptime_records", "users"}
        assert len(found["sla_reports"]) == 1
        assert len(found["checks"]) == checks
        for name, lines in expected.items():
            assert found[name] == lines, name
        compressed = "SELECT count(*) FROM timescaledb_information.chunks WHERE is_compressed"
        if await is_timescaledb(one):
            assert await value(other, compressed) == await value(one, compressed) > 0
            assert await value(other, "SHOW timescaledb.restoring") == "off"
        recorded = [await record(db, [row(now(), service="web"), row(now() - 30 * DAY)]) for db in (one, other)]
        assert recorded[0] == recorded[1] == (2, 0, 0)
    assert (await migrate(new_database, Settings())).applied == ()


async def test_a_restore_needs_an_empty_database(database: str, new_database: str, tmp_path: Path) -> None:
    file = tmp_path / "sla.backup"
    await backup(settings_of(database), file)
    name = urlsplit(database).path.removeprefix("/")
    with pytest.raises(BackupError, match=f"{name} is not empty: restore into a new one"):
        await restore(settings_of(database), file)
    async with connected(new_database) as db:
        await db.execute("CREATE TABLE mine (id integer)")
    with pytest.raises(BackupError, match="is not empty"):
        await restore(settings_of(new_database), file)


async def test_a_failed_restore_changes_nothing_and_can_be_repeated(
    database: str, new_database: str, tmp_path: Path
) -> None:
    async with connected(database) as db:
        await add_locations(db, "local")
        await add_services(db, "web")
        await record(db, [row(now())])
        await db.execute("INSERT INTO secrets VALUES ('noise', repeat(md5('noise'), 2000))")
    complete, truncated = tmp_path / "complete", tmp_path / "truncated"
    await backup(settings_of(database), complete)
    truncated.write_bytes(complete.read_bytes()[:-200])
    with pytest.raises(BackupError, match="pg_restore failed: pg_restore: error: "):
        await restore(settings_of(new_database), truncated)
    await restore(settings_of(new_database), complete)
    async with connected(new_database) as db:
        assert await value(db, "SELECT count(*) FROM checks") == 1


async def test_a_file_that_is_not_a_backup_is_refused(new_database: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("This is not what pg_dump writes.")
    with pytest.raises(BackupError, match="pg_restore failed: "):
        await restore(settings_of(new_database), tmp_path / "text")
    with pytest.raises(BackupError, match="absent is not a file"):
        await restore(settings_of(new_database), tmp_path / "absent")


def test_the_embedded_database_is_restored_and_backed_up_while_it_is_not_running(
    any_database: str, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    backed_up = command("backup", str(first), DATABASE_URL=any_database)
    assert (backed_up.returncode, backed_up.stdout) == (
        0,
        f"backup written to {first}, {first.stat().st_size} bytes\n",
    ), backed_up.stderr
    with home_folder() as home:
        nothing = command("backup", str(second), SLA_MONITOR_HOME=str(home))
        assert nothing.returncode == 2
        assert nothing.stderr == f"sla-monitor: DATABASE_URL is not set, and there is no database in {home}\n"
        restored = command("restore", str(first), SLA_MONITOR_HOME=str(home))
        assert (restored.returncode, restored.stdout) == (0, f"restored from {first}\n"), restored.stderr
        again = command("backup", str(second), SLA_MONITOR_HOME=str(home))
        assert again.returncode == 0, again.stderr
    assert second.stat().st_size > 10_000


def test_a_file_that_cannot_be_written_gives_an_error_of_one_line(any_database: str, tmp_path: Path) -> None:
    file = tmp_path / "no such folder" / "sla.backup"
    failed = command("backup", str(file), DATABASE_URL=any_database)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == f"sla-monitor: {file} cannot be written: No such file or directory\n"


def test_an_empty_database_is_not_backed_up(empty_database: str, tmp_path: Path) -> None:
    failed = command("backup", str(tmp_path / "file"), DATABASE_URL=empty_database)
    assert failed.returncode == 1
    assert "this database has no schema yet" in failed.stderr
    assert names(tmp_path) == []


def test_the_program_of_the_servers_version_or_the_next_newer_one_is_used() -> None:
    old, own, newer, newest = (Program(Path(f"/opt/{major}/pg_dump"), major) for major in (15, 16, 17, 18))
    assert suitable("pg_dump", [newest, old, own, newer], 16) == own
    assert suitable("pg_dump", [old, newest, newer], 16) == newer
    with pytest.raises(ProgramError, match=r"/opt/15/pg_dump is version 15, older than the server \(16\)"):
        suitable("pg_dump", [old], 16)
    with pytest.raises(
        ProgramError, match="pg_dump is not installed: install PostgreSQL 16 or newer and put pg_dump on PATH"
    ):
        suitable("pg_dump", [], 16)
