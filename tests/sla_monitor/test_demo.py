"""The demo: its targets and its generated past."""

import ssl

import anyio
import httpx
import pytest

from sla_monitor.command.demo import DemoError, _generate_past, _move_targets, _refuse_real_services
from sla_monitor.command.demo_targets import CERTIFICATE, SEED, targets
from sla_monitor.settings import Settings
from sql import connect, query
from tests.sla_monitor.demo_services import IDS, rows

URLS = {service_id: f"http://127.0.0.1:9/{service_id}" for service_id in IDS}


# Targets


async def test_each_target_behaves_as_its_service_describes() -> None:
    async with targets() as urls, httpx.AsyncClient(timeout=120) as client:
        assert list(urls) == IDS
        assert (await client.get(urls["demo-healthy"])).status_code == 200
        assert (await client.get(urls["demo-failing"])).status_code == 500
        statuses = [(await client.get(urls["demo-flaky"])).status_code for _ in range(8)]
        assert statuses.count(503) == 1
        assert statuses.count(200) == 7
        seconds = [(await client.get(urls["demo-slow"])).elapsed.total_seconds() for _ in range(4)]
        assert [elapsed > 0.8 for elapsed in seconds] == [False, False, False, True]
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await client.get(urls["demo-wrong-certificate"])


async def test_the_certificate_is_for_another_host_also_if_it_is_trusted() -> None:
    trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
    async with targets() as urls, httpx.AsyncClient(verify=trusting) as client:
        with pytest.raises(httpx.ConnectError, match="IP address mismatch"):
            await client.get(urls["demo-wrong-certificate"])


async def test_a_client_that_sends_no_http_does_not_stop_a_target() -> None:
    async with targets() as urls, httpx.AsyncClient(timeout=120) as client:
        url = httpx.URL(urls["demo-healthy"])
        async with await anyio.connect_tcp("127.0.0.1", url.port or 0) as stream:
            await stream.send(b"\0" * 20_000)
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()
        assert (await client.get(url)).status_code == 200


# Generated past


async def test_the_past_has_ninety_days_with_outages_and_slow_days(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    statement = f"SELECT ceil(extract(epoch FROM until - first) / 86400)::int - 1 FROM ({query('demo/period')})"
    [(checked_days,)] = await rows(database, statement)
    await _generate_past(database, Settings(), URLS)
    assert "generated checks are stored" in capsys.readouterr().out

    assert await rows(database, "SELECT count(*) FROM parked_checks") == [(0,)]
    assert await rows(database, "SELECT DISTINCT demo, interval_seconds, group_name FROM services") == [
        (True, 10, "Demo")
    ]
    states = await rows(database, "SELECT service_id, state::text FROM service_states ORDER BY service_id")
    assert states == [
        ("demo-dead-name", "outage"),
        ("demo-failing", "outage"),
        ("demo-flaky", "operational"),
        ("demo-healthy", "operational"),
        ("demo-slow", "operational"),
        ("demo-wrong-certificate", "outage"),
    ]
    # Every service has all days except one without checks, and today before 00:05. Some have outages or are slow.
    days = await rows(
        database,
        """SELECT service_id, count(*), count(*) FILTER (WHERE status = 'mo') > 0,
                  count(*) FILTER (WHERE status = 'o') > 60
           FROM service_days GROUP BY service_id ORDER BY service_id""",
    )
    assert days == [(service_id, checked_days, True, True) for service_id in sorted(IDS)]
    assert await rows(
        database, "SELECT count(*) FROM service_days WHERE status = 'po' AND service_id = 'demo-slow'"
    ) > [(8,)]
    assert await rows(database, "SELECT DISTINCT error_type FROM checks WHERE NOT success ORDER BY 1") == [
        ("connection_error",),
        ("dns_error",),
        ("http_error",),
        ("timeout",),
        ("tls_error",),
    ]
    # Responses are slower by day than by night.
    ((by_day, by_night),) = await rows(
        database,
        """SELECT avg(total_ms) FILTER (WHERE date_part('hour', scheduled_at AT TIME ZONE 'UTC') BETWEEN 12 AND 15),
                  avg(total_ms) FILTER (WHERE date_part('hour', scheduled_at AT TIME ZONE 'UTC') BETWEEN 0 AND 3)
           FROM checks WHERE service_id = 'demo-flaky'""",
    )
    assert isinstance(by_day, float)
    assert isinstance(by_night, float)
    assert by_day > 1.2 * by_night
    # The generated checks end before the real ones start, and are in the aggregates.
    assert await rows(database, "SELECT max(scheduled_at + interval '5 minutes') <= now() FROM checks") == [(True,)]
    assert await rows(database, "SELECT count(*) FROM touched_ranges") == [(0,)]
    assert await rows(database, "SELECT sum(checks) FROM checks_daily") == await rows(
        database, "SELECT count(*) FROM checks"
    )
    # There are incidents, maintenance and a template.
    assert await rows(database, "SELECT status, affected_services FROM incident_history ORDER BY created_at") == [
        ("resolved", ["demo-healthy"]),
        ("resolved", ["demo-wrong-certificate"]),
        ("identified", ["demo-failing"]),
    ]
    assert await rows(database, "SELECT affected_services FROM maintenance_windows WHERE starts_at > now()") == [
        (["demo-slow"],)
    ]
    announced = query("status/maintenance").replace("%", "%%")
    assert [row[1] for row in await rows(database, announced)] == ["The search index moves"]
    assert await rows(database, "SELECT count(*) FROM templates") == [(1,)]


@pytest.mark.one_engine
async def test_a_later_start_keeps_the_past_and_moves_the_targets(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await rows(database, "UPDATE installation SET retention = '9 days' RETURNING 1")
    await _generate_past(database, Settings(), URLS)
    # No check is older than the retention.
    assert await rows(database, "SELECT count(*) FROM parked_checks") == [(0,)]
    assert await rows(database, "SELECT now() - min(scheduled_at) BETWEEN '7 days' AND '8 days' FROM checks") == [
        (True,)
    ]
    before = await rows(database, "SELECT count(*), max(scheduled_at) FROM checks")
    capsys.readouterr()
    moved = {service_id: f"{url}/moved" for service_id, url in URLS.items()}
    await _move_targets(database, moved)
    await _generate_past(database, Settings(), moved)
    assert "generated at an earlier start" in capsys.readouterr().out
    assert await rows(database, "SELECT count(*), max(scheduled_at) FROM checks") == before
    assert dict(await rows(database, "SELECT id, endpoint_url FROM services")) == moved  # type: ignore[arg-type]


@pytest.mark.one_engine
async def test_the_same_moment_and_seed_generate_the_same_past(database: str) -> None:
    async def generated(seed: int) -> list[tuple[object, ...]]:
        async with await connect(database, application="test") as connection:
            await connection.execute(query("checks/incoming"))
            async with connection.transaction():
                period = {"first": "2026-07-01T00:00Z", "until": "2026-07-08T00:00Z", "now": "2026-07-08T00:00Z"}
                await connection.execute(query("demo/past"), {**period, "seed": seed, "location": "local"})
                return await (await connection.execute("SELECT * FROM incoming_checks ORDER BY 1, 3")).fetchall()

    once = await generated(SEED)
    assert len(once) == 6 * 7 * 288
    assert await generated(SEED) == once
    assert await generated(SEED + 1) != once


@pytest.mark.one_engine
async def test_a_database_with_real_services_is_refused(database: str) -> None:
    settings = Settings(database_url=database)
    await _refuse_real_services(settings)
    await rows(
        database, "INSERT INTO services (id, name, endpoint_url) VALUES ('shop', 'Shop', 'http://shop') RETURNING 1"
    )
    with pytest.raises(DemoError, match="DATABASE_URL"):
        await _refuse_real_services(settings)


async def test_a_database_without_a_schema_is_not_refused(empty_database: str) -> None:
    await _refuse_real_services(Settings(database_url=empty_database))
