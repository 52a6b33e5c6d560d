"""Which services are checked."""

from pathlib import Path

import anyio
import psycopg

from prober.catalogue import Catalogue
from prober.metrics import Metrics
from prober.services import Service
from sla_monitor.checks.http import Http
from tests.prober.figures import reached

PATIENCE_S = 120.0


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


async def test_what_is_not_for_probers_is_left_to_others(database: str, tmp_path: Path) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            """INSERT INTO services (id, name, check_config) VALUES
               ('job', 'Job', '{"type": "heartbeat"}'),
               ('db', 'DB', '{"type": "tcp", "host": "127.0.0.1", "port": 1}')"""
        )
    metrics = Metrics()
    applied: list[list[str]] = []
    catalogue = Catalogue(
        database, tmp_path / "services.json", lambda found: applied.append([each.id for each in found]), metrics
    )
    async with anyio.create_task_group() as group:
        group.start_soon(catalogue.run)
        await reached(metrics, "reloads_total", 1)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert applied == [["db"]]


async def test_the_list_that_a_prober_of_release_0_1_has_kept_is_read(tmp_path: Path) -> None:
    """The database is away at the first start of this release."""
    kept = tmp_path / "services.json"
    kept.write_text(
        '[{"id": "shop", "endpoint_url": "http://shop.example/", "type": "http", "method": "HEAD", "headers": {}, '
        '"body": null, "expected_status_codes": [204], "keyword": null, "keyword_absent": null, "json_path": null, '
        '"json_value": null, "interval_seconds": 30, "timeout_ms": 5000, "degraded_after_ms": 3000, "retries": 1, '
        '"verify_tls": false, "follow_redirects": 5}]'
    )
    applied: list[list[Service]] = []
    away = "postgresql://127.0.0.1:1/nothing"
    catalogue = Catalogue(away, kept, lambda found: applied.append(list(found)), Metrics())
    async with anyio.create_task_group() as group:
        group.start_soon(catalogue.run)
        with anyio.fail_after(PATIENCE_S):
            while not applied:  # noqa: ASYNC110  # the catalogue calls back
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    config = Http(endpoint_url="http://shop.example/", method="HEAD", expected_status_codes=(204,), verify_tls=False)
    assert applied == [[Service(id="shop", check_config=config, interval_seconds=30, timeout_ms=5000, retries=1)]]
