"""Which services are checked."""

from pathlib import Path

import anyio
import psycopg

from prober.catalogue import Catalogue
from prober.metrics import Metrics
from tests.prober.figures import reached


async def test_a_service_that_cannot_be_checked_does_not_stop_the_others(database: str, tmp_path: Path) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            """INSERT INTO services (id, name, endpoint_url, headers) VALUES
               ('good', 'Good', 'http://127.0.0.1/', '{"X-A": "b"}'),
               ('odd', 'Odd', 'http://127.0.0.1/', '{}')"""
        )
        connection.execute("ALTER TABLE services DISABLE TRIGGER services_check_config")
        odd = """'{"type": "http", "endpoint_url": "http://127.0.0.1/", "headers": {"X-A": {"nested": true}}}'"""
        connection.execute(f"UPDATE services SET check_config = {odd} WHERE id = 'odd'".encode())
        connection.execute("ALTER TABLE services ENABLE TRIGGER services_check_config")
    metrics = Metrics()
    applied: list[list[str]] = []
    catalogue = Catalogue(
        database, tmp_path / "services.json", lambda found: applied.append([each.id for each in found]), metrics
    )
    async with anyio.create_task_group() as group:
        group.start_soon(catalogue.run)
        await reached(metrics, "reloads_total", 1)
        with psycopg.connect(database) as connection:
            connection.execute(
                "UPDATE services SET headers = '{}', check_config = http_config(services) WHERE id = 'odd'"
            )
        catalogue.changed.set()
        await reached(metrics, "reloads_total", 2)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()

    assert applied == [["good"], ["good", "odd"]]
    assert (tmp_path / "services.json").stat().st_mode & 0o777 == 0o600
