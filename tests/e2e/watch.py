"""The program that the tests of test_watching.py share, and its database."""

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.e2e.program import Program, left_running, running
from tests.e2e.watched import EXPECTED_CHECKS, Declaration, services_toml, targets
from tests.prober.targets import Certificates
from tests.servers import Server

DECLARED = ("good", "server-error", "tls-expired", "dead-name", "wrong-words", "refusing")
"""The ids of the services in services.toml. The others are created over REST."""
STOP_PATIENCE_S = 30.0


@dataclass
class Watch:
    """The running program, its services file and its database."""

    program: Program
    database: str
    services_file: Path
    declared: list[Declaration]

    async def fetch(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """Returns the rows of a statement, as dictionaries."""
        async with await psycopg.AsyncConnection.connect(self.database, row_factory=dict_row) as connection:
            return await (await connection.execute(statement.encode(), values)).fetchall()

    async def add(self, declaration: Declaration) -> None:
        """Creates a service over REST."""
        response = await self.program.api.post("/api/services", json=declaration)
        assert response.status_code == 201, response.text

    async def has_all_checks(self) -> bool:
        """Whether each service has at least two checks. dead-name, which is checked less often, needs only one."""
        rows = await self.fetch("SELECT service_id, count(*) AS checks FROM checks GROUP BY 1")
        checks = {row["service_id"]: row["checks"] for row in rows}
        return all(
            checks.get(service_id, 0) >= (1 if service_id == "dead-name" else 2) for service_id in EXPECTED_CHECKS
        )


@pytest.fixture(scope="module")
def shared_database(engine: Server) -> Iterator[str]:
    yield (url := engine.migrated_database())
    engine.drop(url)


@pytest.fixture(scope="module")
async def watch(shared_home: Path, shared_database: str, certificates: Certificates) -> AsyncIterator[Watch]:
    """Runs the program, and yields when each target has been checked. Asserts at the end that the program stops and no
    process is left."""
    file = shared_home / "services.toml"
    async with targets(certificates, shared_home) as declarations:
        declared = [one for one in declarations if one["id"] in DECLARED]
        file.write_text(services_toml(declared))
        settings = {
            "DATABASE_URL": shared_database,
            "SERVICES_FILE": str(file),
            "SSL_CERT_FILE": str(certificates.ca_file),
            "HEALTH_CHECK_INTERVAL": "1s",
        }
        async with running("up", shared_home, **settings) as program:
            await program.ready()
            await program.log_in()
            watch = Watch(program, shared_database, file, declared)
            for declaration in declarations:
                if declaration not in declared:
                    await watch.add(declaration)
            await program.until(watch.has_all_checks)
            yield watch
            began = time.monotonic()
            assert await program.end() == 0, program.output
            assert time.monotonic() - began < STOP_PATIENCE_S
            assert "Traceback" not in program.output
            assert left_running(shared_home) == {}


@pytest.fixture(autouse=True)
def counted(request: pytest.FixtureRequest, engine: Server) -> None:
    """Counts the test for the summary of its engine."""
    engine.tests.add(request.node.nodeid)
