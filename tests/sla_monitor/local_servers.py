"""Starts local PostgreSQL servers in processes of their own, and queries them."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from sla_monitor.local_postgresql.running import LocalPostgres
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
