"""The list of services that the prober reads from the database, and its copy on disk."""

from collections.abc import Iterable
from pathlib import Path

import anyio
import psycopg

from prober.catalogue import Catalogue
from prober.metrics import Metrics
from prober.services import Service
from sla_monitor.checks.http import Http
from tests.prober.metrics import TIMEOUT_S, wait_for_metric


class Applied:
    """The lists of services that a catalogue has applied."""

    def __init__(self) -> None:
        self.lists: list[list[Service]] = []
        self.first = anyio.Event()

    def __call__(self, services: Iterable[Service]) -> None:
        self.lists.append(list(services))
        self.first.set()

    @property
    def ids(self) -> list[list[str]]:
        return [[service.id for service in services] for services in self.lists]


async def test_a_service_with_an_invalid_configuration_is_left_out(database: str, tmp_path: Path) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            """INSERT INTO services (id, name, endpoint_url, headers) VALUES
               ('good', 'Good', 'http://127.0.0.1/', '{"X-A": "b"}'),
               ('invalid', 'Invalid', 'http://127.0.0.1/', '{}')"""
        )
        connection.execute("ALTER TABLE services DISABLE TRIGGER services_check_config")
        invalid = """'{"type": "http", "endpoint_url": "http://127.0.0.1/", "headers": {"X-A": {"nested": true}}}'"""
        connection.execute(f"UPDATE services SET check_config = {invalid} WHERE id = 'invalid'".encode())
        connection.execute("ALTER TABLE services ENABLE TRIGGER services_check_config")
    metrics = Metrics()
    applied = Applied()
    catalogue = Catalogue(database, tmp_path / "services.json", applied, metrics)
    async with anyio.create_task_group() as group:
        group.start_soon(catalogue.run)
        await wait_for_metric(metrics, "reloads_total", 1)
        with psycopg.connect(database) as connection:
            connection.execute(
                "UPDATE services SET headers = '{}', check_config = http_config(services) WHERE id = 'invalid'"
            )
        catalogue.changed.set()
        await wait_for_metric(metrics, "reloads_total", 2)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()

    assert applied.ids == [["good"], ["good", "invalid"]]
    assert (tmp_path / "services.json").stat().st_mode & 0o777 == 0o600


async def test_a_service_of_a_type_that_is_not_probed_is_left_out(database: str, tmp_path: Path) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            """INSERT INTO services (id, name, check_config) VALUES
               ('job', 'Job', '{"type": "heartbeat"}'),
               ('db', 'DB', '{"type": "tcp", "host": "127.0.0.1", "port": 1}')"""
        )
    metrics = Metrics()
    applied = Applied()
    catalogue = Catalogue(database, tmp_path / "services.json", applied, metrics)
    async with anyio.create_task_group() as group:
        group.start_soon(catalogue.run)
        await wait_for_metric(metrics, "reloads_total", 1)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert applied.ids == [["db"]]


async def test_the_saved_list_of_release_0_1_is_read(tmp_path: Path) -> None:
    """The database is unavailable at the first start of this release."""
    saved = tmp_path / "services.json"
    saved.write_text(
        '[{"id": "shop", "endpoint_url": "http://shop.example/", "type": "http", "method": "HEAD", "headers": {}, '
        '"body": null, "expected_status_codes": [204], "keyword": null, "keyword_absent": null, "json_path": null, '
        '"json_value": null, "interval_seconds": 30, "timeout_ms": 5000, "degraded_after_ms": 3000, "retries": 1, '
        '"verify_tls": false, "follow_redirects": 5}]'
    )
    applied = Applied()
    unreachable = "postgresql://127.0.0.1:1/nothing"
    catalogue = Catalogue(unreachable, saved, applied, Metrics())
    async with anyio.create_task_group() as group:
        group.start_soon(catalogue.run)
        with anyio.fail_after(TIMEOUT_S):
            await applied.first.wait()
        group.cancel_scope.cancel()
    config = Http(endpoint_url="http://shop.example/", method="HEAD", expected_status_codes=(204,), verify_tls=False)
    assert applied.lists == [[Service(id="shop", check_config=config, interval_seconds=30, timeout_ms=5000, retries=1)]]
