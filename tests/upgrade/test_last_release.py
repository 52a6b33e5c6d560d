"""The last release before an upgrade: its figures are correct, and its code is from the wheel."""

from itertools import pairwise
from pathlib import Path

import anyio
import psycopg

from sla_monitor.settings import Settings
from sql.migrate import migrate
from tests.sql.batches import connected, until_true
from tests.upgrade.ledger import Ledger
from tests.upgrade.old_database import OldDatabase, assert_user_data_is_unchanged, recording
from tests.upgrade.processes import LastRelease
from tests.upgrade.snapshot import Snapshot, differences


async def test_all_figures_are_correct_except_in_touched_ranges(short: OldDatabase, long: OldDatabase) -> None:
    for old in (short, long):
        snapshot = Snapshot(old)
        assert snapshot.may_be_missing
        assert differences(snapshot) == []
        assert differences(Snapshot(old, exact=True)) != []
        assert_user_data_is_unchanged(old)


async def test_the_histories_have_touched_ranges_outages_and_dropped_rows(
    short: OldDatabase, long: OldDatabase
) -> None:
    for old in (short, long):
        with psycopg.connect(old.url) as connection:
            counts = connection.execute(
                "SELECT (SELECT count(*) FROM touched_ranges), (SELECT count(*) FROM outages), "
                "(SELECT count(*) FROM outages WHERE ended_at IS NULL), (SELECT count(*) FROM incidents)"
            ).fetchone()
        assert counts is not None
        assert all(counts)
        dropped = [check for check in old.all.rows.values() if check.at < old.raw_from]
        assert bool(dropped) == (old is short)
        if old is short:
            [across] = [span for span in old.all.outages("mail", 0) if span.started < old.raw_from < (span.ended or 0)]
            assert across.error


async def test_a_refresh_includes_late_rows(long: OldDatabase, last_release: LastRelease) -> None:
    assert await last_release.call("housekeep", long.url) == {}
    assert differences(Snapshot(long, exact=True)) == []


async def test_figures_are_correct_while_a_prober_records(long: OldDatabase, package: Path, tmp_path: Path) -> None:
    async with recording(package, long, tmp_path, housekeeping=0.7, period=0.3) as prober:
        await prober.wait_for_batches(5)
        committed = prober.acknowledged()
        snapshot = Snapshot(long, certain=committed)
        assert differences(snapshot) == []
        assert len(snapshot.ledger.rows) >= len(long.all.rows) + len({check.key for check in committed})
    assert not prober.housekeeping_failures


async def test_the_comparison_finds_a_missing_and_an_extra_row(long: OldDatabase) -> None:
    """A missing good row and an extra failed one are differences in each table of figures that they change."""
    snapshot = Snapshot(long)
    snapshot.may_be_missing = []
    mail = sorted((one for one in long.settled.rows.values() if one.service == "mail"), key=lambda one: one.at)
    check = next(two for one, two in pairwise(mail) if (one.severity, two.severity) == ("o", "o"))
    for missing in (True, False):
        rows = [one for one in long.settled.rows.values() if not (missing and one is check)]
        more = [] if missing else [check._replace(at=check.at + 1, severity="mo", total_ms=None)]
        snapshot.ledger = Ledger(long.history.zone, [*rows, *more])
        tables = {difference.table for difference in differences(snapshot)}
        changed = {"latency_daily"} if missing else {"uptime_records", "outages"}
        assert {"checks_15m", "service_days"} | changed <= tables


async def test_the_migration_waits_for_housekeeping_of_the_last_release(short: OldDatabase) -> None:
    """It deletes old events and then old announced days, in one statement. Neither waits for the other in a circle."""
    async with connected(short.url) as housekeeping, anyio.create_task_group() as tasks, housekeeping.transaction():
        await housekeeping.execute("LOCK TABLE events IN ROW EXCLUSIVE MODE")
        tasks.start_soon(migrate, short.url, Settings())
        await until_true(
            housekeeping, "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'events'::regclass AND NOT granted"
        )
        await housekeeping.execute("SET LOCAL lock_timeout = '500ms'")  # a deadlock is detected after a second
        await housekeeping.execute("LOCK TABLE announced_days IN ROW EXCLUSIVE MODE")
