"""A prober works as a user with the role sla_prober only."""

from pathlib import Path

from tests.processes import running_prober
from tests.sql.batches import connected, until_true, value
from tests.sql.logins import login


async def test_it_reads_the_services_and_records_checks(database: str, tmp_path: Path) -> None:
    async with connected(database) as db, login(database, "sla_prober") as url:
        await db.execute(
            "INSERT INTO services (id, name, endpoint_url, interval_seconds) "
            "VALUES ('web', 'Web', 'http://127.0.0.1:9/', 1)"
        )
        with running_prober(url, tmp_path, PROBE_LOCATION="seoul") as prober:
            await prober.wait_until_ready()
            await until_true(db, "SELECT count(*) > 2 FROM checks WHERE service_id = 'web' AND location = 'seoul'")
            await db.execute(
                "INSERT INTO services (id, name, endpoint_url, interval_seconds) "
                "VALUES ('later', 'Later', 'http://127.0.0.1:9/', 1)"
            )
            await until_true(db, "SELECT count(*) > 1 FROM checks WHERE service_id = 'later'")
            assert await prober.end() == 0
            assert "permission denied" not in prober.log()
        assert await value(db, "SELECT state = 'outage' FROM service_states WHERE service_id = 'web'")
        assert await value(db, "SELECT count(*) FROM parked_checks") == 0
