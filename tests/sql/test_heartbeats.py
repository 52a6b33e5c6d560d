"""Heartbeat services: jobs whose reports are in time, late, failed or paused, by interval and by cron expression."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from sla_monitor.checks.heartbeat import Heartbeat
from sla_monitor.heartbeats import Event
from sql import heartbeats
from tests.sql.batches import Connection, connected, fetch, now, set_clock, state, value

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
CHECKS = (
    "SELECT scheduled_at, severity::text, interval_seconds, total_ms, error_type, error_message "
    "FROM checks WHERE service_id = 'job' ORDER BY scheduled_at"
)
OUTAGES = "SELECT started_at, ended_at FROM outages WHERE service_id = 'job' ORDER BY started_at"


class Job:
    """A heartbeat service and its reports, with a clock that the test sets."""

    def __init__(self, db: Connection, key: UUID, start: datetime) -> None:
        self.db = db
        self.key = key
        self.start = start

    async def at(self, moment: timedelta | datetime) -> datetime:
        """Sets the clock to this time, or to this duration after the start, runs the duties of the worker, and returns
        the time."""
        present = moment if isinstance(moment, datetime) else self.start + moment
        await set_clock(self.db, present)
        await self.run_duties()
        return present

    async def run_duties(self) -> None:
        for _ in range(3):
            async with self.db.transaction():
                await heartbeats.record_due(self.db)
        await self.db.execute("SELECT expire_states()")

    async def ping(self, event: Event = "success", text: str = "") -> None:
        async with self.db.transaction():
            assert await heartbeats.report(self.db, self.key, event, text)

    async def state(self) -> str:
        return str((await state(self.db, "job"))[0])

    async def checks(self) -> list[Any]:
        return await fetch(self.db, CHECKS)

    async def outages(self) -> list[Any]:
        return await fetch(self.db, OUTAGES)


async def job(db: Connection, start: datetime, interval: int = 3600, **fields: Any) -> Job:
    config = {"type": "heartbeat", "grace_seconds": 300} | fields
    await set_clock(db, start)
    await db.execute(
        "INSERT INTO services (id, name, interval_seconds, check_config) VALUES ('job', 'Job', %s, %s)",
        [interval, Jsonb(config)],
    )
    return Job(db, await value(db, "SELECT key FROM heartbeats WHERE service_id = 'job'"), start)


@pytest.fixture
async def db(database: str) -> AsyncIterator[Connection]:
    async with connected(database) as connection:
        yield connection


@pytest.fixture
async def hourly(db: Connection) -> Job:
    return await job(db, now() - 10 * HOUR)


async def test_a_job_is_unknown_before_its_first_report(hourly: Job) -> None:
    await hourly.at(9 * HOUR)
    assert (await hourly.state(), await hourly.checks(), await hourly.outages()) == ("unknown", [], [])


async def test_reports_in_time_are_operational_without_a_gap(hourly: Job) -> None:
    for hour in range(5):
        await hourly.at(hour * HOUR + (4 * MINUTE if hour % 2 else timedelta()))
        await hourly.ping()
        assert await hourly.state() == "operational"
    assert [row[1] for row in await hourly.checks()] == ["o"] * 5
    episodes = await fetch(hourly.db, "SELECT state::text, starts_at, ends_at FROM episodes WHERE service_id = 'job'")
    assert [row for row in episodes if row[2] is None or row[2] > row[1]] == [("operational", hourly.start, None)]


async def test_a_late_report_is_an_outage_from_its_due_time(hourly: Job) -> None:
    await hourly.ping()
    due = hourly.start + HOUR
    await hourly.at(HOUR + 5 * MINUTE - SECOND)
    assert (await hourly.state(), await hourly.outages()) == ("operational", [])
    await hourly.at(HOUR + 5 * MINUTE)
    assert (await hourly.state(), await hourly.outages()) == ("outage", [(due, None)])
    await hourly.at(4 * HOUR)
    assert (await hourly.state(), await hourly.outages()) == ("outage", [(due, None)])
    back = await hourly.at(4 * HOUR + MINUTE)
    await hourly.ping()
    assert (await hourly.state(), await hourly.outages()) == ("operational", [(due, back)])
    failed = [row for row in await hourly.checks() if row[1] == "mo"]
    assert {row[4:] for row in failed} == {("timeout", "no report came in time")}


async def test_an_outage_found_later_begins_at_the_due_time(hourly: Job) -> None:
    await hourly.ping()
    await hourly.at(8 * HOUR)
    assert (await hourly.state(), await hourly.outages()) == ("outage", [(hourly.start + HOUR, None)])


async def test_a_failure_is_an_outage_at_once(hourly: Job) -> None:
    await hourly.ping()
    failed = await hourly.at(30 * MINUTE)
    await hourly.ping("fail", "\n  disk full\nmore")
    assert (await hourly.state(), await hourly.outages()) == ("outage", [(failed, None)])
    assert (await hourly.checks())[-1][4:] == ("assertion_failed", "the job reported a failure: disk full")
    back = await hourly.at(40 * MINUTE)
    await hourly.ping()
    assert (await hourly.state(), await hourly.outages()) == ("operational", [(failed, back)])


@pytest.mark.parametrize(("code", "expected"), [(0, "operational"), (1, "outage"), (255, "outage")])
async def test_an_exit_code_other_than_0_is_an_outage(hourly: Job, code: int, expected: str) -> None:
    await hourly.ping(code, "Traceback")
    assert await hourly.state() == expected
    message = (await hourly.checks())[0][5]
    assert message == (f"the job ended with exit code {code}: Traceback" if code else None)


async def test_the_time_of_a_run_is_that_from_start_to_end(hourly: Job) -> None:
    await hourly.ping("start")
    assert await hourly.checks() == []
    await hourly.at(90 * SECOND)
    await hourly.ping()
    assert (await hourly.checks())[0][3] == 90_000
    await hourly.at(HOUR)
    await hourly.ping()
    assert (await hourly.checks())[1][3] is None


async def test_a_run_of_many_hours_is_recorded(hourly: Job) -> None:
    """The time of a check is limited to 1e7 ms; a longer run is recorded with this time and not parked."""
    await hourly.ping()
    await hourly.ping("start")
    await hourly.at(5 * HOUR)
    await hourly.ping()
    assert (await hourly.checks())[-1][1:4:2] == ("o", 1e7)
    assert await value(hourly.db, "SELECT last_run_ms FROM heartbeats") == 5 * 3600e3
    assert await value(hourly.db, "SELECT count(*) FROM parked_checks") == 0


async def test_a_start_without_an_end_is_late(hourly: Job) -> None:
    await hourly.ping()
    await hourly.at(HOUR)
    await hourly.ping("start")
    await hourly.at(HOUR + 6 * MINUTE)
    assert (await hourly.state(), await hourly.outages()) == ("outage", [(hourly.start + HOUR, None)])


async def test_a_first_start_without_an_end_is_late(hourly: Job) -> None:
    await hourly.ping("start")
    await hourly.at(6 * MINUTE)
    assert (await hourly.state(), await hourly.outages()) == ("outage", [(hourly.start, None)])


async def test_a_log_message_does_not_change_the_state(hourly: Job) -> None:
    await hourly.ping("log", "half way")
    assert (await hourly.state(), await hourly.checks()) == ("unknown", [])
    assert await value(hourly.db, "SELECT last_text FROM heartbeats") == "half way"


async def test_a_paused_job_is_not_late(hourly: Job) -> None:
    await hourly.ping()
    await hourly.at(30 * MINUTE)
    await hourly.db.execute("UPDATE services SET enabled = false")
    await hourly.at(3 * HOUR)
    await hourly.ping("fail")
    assert (await hourly.state(), await hourly.outages()) == ("unknown", [])
    await hourly.db.execute("UPDATE services SET enabled = true")
    await hourly.run_duties()
    await hourly.at(4 * HOUR + 4 * MINUTE)
    assert (await hourly.state(), await hourly.outages()) == ("unknown", [])
    await hourly.at(4 * HOUR + 6 * MINUTE)
    assert (await hourly.state(), await hourly.outages()) == ("outage", [(hourly.start + 4 * HOUR, None)])


async def test_a_new_interval_begins_at_its_change(hourly: Job) -> None:
    await hourly.ping()
    await hourly.at(30 * MINUTE)
    await hourly.db.execute("UPDATE services SET interval_seconds = 7200")
    await hourly.run_duties()
    await hourly.at(2 * HOUR + 30 * MINUTE)
    assert (await hourly.state(), await hourly.outages()) == ("operational", [])
    await hourly.at(2 * HOUR + 36 * MINUTE)
    assert await hourly.outages() == [(hourly.start + 2 * HOUR + 30 * MINUTE, None)]


async def test_the_key_of_a_deleted_job_is_invalid(hourly: Job) -> None:
    await hourly.ping()
    await hourly.db.execute("DELETE FROM services")
    async with hourly.db.transaction():
        assert not await heartbeats.report(hourly.db, hourly.key, "success", "")
    await hourly.at(3 * HOUR)


async def test_the_key_is_invalid_after_a_change_of_the_type(hourly: Job) -> None:
    await hourly.db.execute("UPDATE services SET endpoint_url = 'http://a.example/'")
    async with hourly.db.transaction():
        assert not await heartbeats.report(hourly.db, hourly.key, "success", "")


async def test_two_reports_at_the_same_time_are_two_checks(hourly: Job) -> None:
    """Both have the same time in the clock of the database. The second one decides the state."""
    await hourly.ping()
    await hourly.ping("fail")
    assert [row[1] for row in await hourly.checks()] == ["o", "mo"]
    assert await hourly.state() == "outage"


async def test_texts_are_cleaned_and_cut(hourly: Job) -> None:
    await hourly.ping("fail", "\x00\x1b[31m\u202eevil\ud800".encode("utf-8", "replace").decode())
    message = str((await hourly.checks())[0][5])
    assert message.isprintable()
    await hourly.ping("fail", "x" * 100_000)
    assert len((await hourly.checks())[1][5]) == 500
    assert await value(hourly.db, "SELECT length(last_text) FROM heartbeats") == 10_000


async def test_a_weekly_job_is_operational_all_week(db: Connection) -> None:
    """A week is longer than the maximum interval of a check."""
    start = (now() - timedelta(days=20)).replace(hour=3, minute=0, second=0)
    weekly = await job(db, start, cron=f"0 3 * * {start.isoweekday() % 7}", grace_seconds=3600)
    await weekly.ping()
    for day in range(1, 7):
        await weekly.at(timedelta(days=day, hours=1))
        assert await weekly.state() == "operational", day
    await weekly.at(timedelta(days=7, minutes=59))
    assert (await weekly.state(), await weekly.outages()) == ("operational", [])
    await weekly.at(timedelta(days=9))
    assert (await weekly.state(), await weekly.outages()) == ("outage", [(start + timedelta(days=7), None)])
    back = await weekly.at(timedelta(days=9, hours=1))
    await weekly.ping()
    assert (await weekly.state(), await weekly.outages()) == ("operational", [(start + timedelta(days=7), back)])
    gaps = "SELECT count(*) FROM episodes WHERE service_id = 'job' AND state = 'unknown' AND starts_at >= %s"
    assert await value(db, gaps, [start]) == 0


@pytest.mark.parametrize(
    ("after", "due"),
    [
        # 2026-03-29: 02:00 becomes 03:00 in Berlin; 2026-10-25: 03:00 becomes 02:00.
        ("2026-03-27T12:00+00:00", "2026-03-28T01:30+00:00"),
        ("2026-03-28T12:00+00:00", "2026-03-29T01:00+00:00"),
        ("2026-03-29T12:00+00:00", "2026-03-30T00:30+00:00"),
        ("2026-10-24T12:00+00:00", "2026-10-25T00:30+00:00"),
        ("2026-10-25T12:00+00:00", "2026-10-26T01:30+00:00"),
    ],
)
def test_a_cron_expression_follows_the_local_time_of_its_zone(after: str, due: str) -> None:
    nightly = Heartbeat(cron="30 2 * * *", time_zone="Europe/Berlin")
    assert nightly.due_after(datetime.fromisoformat(after), 60) == datetime.fromisoformat(due)


def test_a_report_just_before_the_due_time_counts_for_it() -> None:
    nightly = Heartbeat(cron="0 2 * * *")
    early = datetime(2026, 5, 1, 1, 59, 50, tzinfo=UTC)
    assert nightly.due_after(early, 60) == datetime(2026, 5, 2, 2, tzinfo=UTC)
    assert nightly.due_after(early - MINUTE, 60) == datetime(2026, 5, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"cron": "nonsense"}, "cron"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": "* * * * * * *"}, "cron"),
        ({"cron": "0 2 *\n* *"}, "cron"),
        ({"time_zone": "Mars/Base"}, "time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"),
        ({"time_zone": "a\0b"}, "time_zone"),
        ({"time_zone": "localtime"}, "time_zone"),
    ],
)
def test_invalid_cron_expressions_and_time_zones_are_found(fields: dict[str, Any], field: str) -> None:
    assert field in {problem.field for problem in Heartbeat(**fields).problems()}
