"""Outages while an upgrade is pending. Late checks that are older than the known episodes are left to its tasks, which
derive the episodes first and the outages last."""

import time

import psycopg

from sla_monitor.settings import Settings
from sql.migrate import migrate
from tests.servers import Server
from tests.upgrade.history import CheckRow
from tests.upgrade.processes import LastRelease
from tests.upgrade.sessions import Session, fetch, install, line, record_and_refresh
from tests.upgrade.upgrading import rounds

DAY = 86400.0
HOUR = 3600.0
OUTAGES = (
    "SELECT extract(epoch FROM started_at)::float8, extract(epoch FROM ended_at)::float8 FROM outages "
    "WHERE service_id = 'web' ORDER BY 1"
)
Spans = list[tuple[float, float]]


def three_days(now: float) -> tuple[list[CheckRow], Spans]:
    """Two outages of an hour, two days ago and a day ago."""
    outages = [(now - 2 * DAY, now - 2 * DAY + HOUR), (now - DAY, now - DAY + HOUR)]
    rows, start = [], now - 3 * DAY
    for low, high in outages:
        rows += [*line(start, low), *line(low, high, "mo")]
        start = high
    return [*rows, *line(start, now)], outages


def late(at: float, severity: str = "o") -> CheckRow:
    [check] = line(at, at + 1, severity)
    return check._replace(at=at + 17)


def run_tasks_before(url: str, step: str, service: str = "web") -> None:
    """Runs the tasks of the upgrade up to the first one of this step and service."""
    with psycopg.connect(url, autocommit=True) as connection:
        while True:
            task = connection.execute("SELECT step, service_id FROM upgrade_tasks ORDER BY id LIMIT 1").fetchone()
            if task == (step, service):
                return
            assert connection.execute("SELECT run_upgrade_task()").fetchone() == (True,)


async def finish(url: str) -> None:
    assert [number async for number in rounds(url)]


async def test_an_outage_that_is_not_stored_yet_begins_at_no_check(
    empty_database: str, last_release: LastRelease
) -> None:
    """A check after an outage that only the episodes have: no outage begins a microsecond before that check."""
    now = time.time() // 300 * 300
    await install(last_release, empty_database)
    rows, outages = three_days(now)
    await record_and_refresh(last_release, empty_database, rows)
    await migrate(empty_database, Settings())
    session = Session(empty_database)
    failed_at = now - 2 * DAY - 10 * HOUR
    assert session.record([late(failed_at, "mo")]) == (1, 0, 0)
    run_tasks_before(empty_database, "outages")
    assert session.record([late(failed_at + 300)]) == (1, 0, 0)
    assert fetch(empty_database, OUTAGES) == outages
    await finish(empty_database)
    assert fetch(empty_database, OUTAGES) == [(failed_at + 17, failed_at + 300), *outages]


async def test_a_stored_outage_ends_at_no_check_that_the_episodes_have_inside_it(
    empty_database: str, last_release: LastRelease
) -> None:
    """Successful checks within a stored outage: the outage is split when its bounds are known."""
    now = time.time() // 300 * 300
    await install(last_release, empty_database)
    rows, outages = three_days(now)
    await record_and_refresh(last_release, empty_database, rows)
    await migrate(empty_database, Settings())
    session = Session(empty_database)
    (began, ended), last = outages
    middle = began + HOUR / 2
    inside = [late(middle), late(middle + 60), late(middle + 120)]
    assert session.record(inside[:2]) == (2, 0, 0)
    run_tasks_before(empty_database, "outages")
    assert session.record(inside[2:]) == (1, 0, 0)
    assert fetch(empty_database, OUTAGES) == outages
    await finish(empty_database)
    assert fetch(empty_database, OUTAGES) == [(began, middle + 17), (middle + 300, ended), last]


async def test_late_checks_count_after_the_last_task_of_their_service(
    empty_database: str, last_release: LastRelease
) -> None:
    """Also before the first check of a location that was added later. The tasks of another service are left."""
    now = time.time() // 300 * 300
    await install(last_release, empty_database)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("INSERT INTO locations (id, name) VALUES ('seoul', 'Seoul')")
        connection.execute("INSERT INTO services (id, name, endpoint_url) VALUES ('zoo', 'Zoo', 'http://target/')")
    rows, outages = three_days(now)
    rows += [one._replace(location="seoul") for one in rows if one.at >= now - DAY]
    rows += line(now - 3 * DAY, now, service="zoo")
    await record_and_refresh(last_release, empty_database, sorted(rows, key=lambda one: one.at))
    await migrate(empty_database, Settings())
    run_tasks_before(empty_database, "outages", "zoo")
    failed_at = now - 2 * DAY - 10 * HOUR
    earlier = now - 4 * DAY
    assert Session(empty_database).record([late(failed_at, "mo"), late(earlier, "mo")]) == (2, 0, 0)
    late_outages = [(earlier + 17, now - 3 * DAY), (failed_at + 17, failed_at + 300)]
    assert fetch(empty_database, OUTAGES) == [*late_outages, *outages]
    await finish(empty_database)
    assert fetch(empty_database, OUTAGES) == [*late_outages, *outages]


async def test_an_outage_across_the_first_raw_checks_keeps_its_bounds(
    empty_database: str, last_release: LastRelease, engine: Server
) -> None:
    """The episodes before the first complete quarter of raw checks are estimated: within a
    quarter of an hour they do not have the order of the states. They end no stored outage."""
    now = time.time() // 300 * 300
    await install(last_release, empty_database)
    oldest = (now - 9 * DAY) // 900 * 900 + 900
    outage = oldest - 300, oldest + HOUR
    rows = [*line(now - 80 * DAY, now - 79 * DAY), *line(oldest - DAY, outage[0]), *line(*outage, "mo")]
    await record_and_refresh(last_release, empty_database, [*rows, *line(outage[1], now)])
    await last_release.call("migrate", empty_database, {"retention_days": 10})
    if engine.name == "timescaledb":
        await last_release.call("run_jobs", empty_database)
    await migrate(empty_database, Settings())
    [(first_raw,)] = fetch(empty_database, "SELECT extract(epoch FROM first_raw_quarter())::float8")
    assert outage[0] < first_raw < outage[1]
    await finish(empty_database)
    assert fetch(empty_database, OUTAGES) == [outage]
