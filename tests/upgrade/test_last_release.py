"""The last release by itself: what an upgrade is measured against is right, and comes from the wheel."""

from itertools import pairwise
from pathlib import Path

import psycopg

from tests.upgrade.ledger import Ledger
from tests.upgrade.old_database import Old, recording, what_people_entered_is_kept
from tests.upgrade.processes import LastRelease
from tests.upgrade.snapshot import Seen, differences


async def test_its_figures_are_right_but_for_what_is_to_be_refreshed(short: Old, long: Old) -> None:
    for old in (short, long):
        seen = Seen(old)
        assert seen.soft
        assert differences(seen) == []
        assert differences(Seen(old, exact=True)) != []
        what_people_entered_is_kept(old)


async def test_a_history_has_what_an_upgrade_can_go_wrong_with(short: Old, long: Old) -> None:
    for old in (short, long):
        with psycopg.connect(old.url) as connection:
            counts = connection.execute(
                "SELECT (SELECT count(*) FROM touched_ranges), (SELECT count(*) FROM outages), "
                "(SELECT count(*) FROM outages WHERE ended_at IS NULL), (SELECT count(*) FROM incidents)"
            ).fetchone()
        assert counts is not None
        assert all(counts)
        dropped = [fed for fed in old.all.rows.values() if fed.at < old.raw_from]
        assert bool(dropped) == (old is short)
        if old is short:
            [across] = [span for span in old.all.outages("mail", 0) if span.started < old.raw_from < (span.ended or 0)]
            assert across.error


async def test_its_refresh_shows_late_rows(long: Old, last_release: LastRelease) -> None:
    assert await last_release.call("keep_house", long.url) == {}
    assert differences(Seen(long, exact=True)) == []


async def test_its_prober_goes_on(long: Old, package: Path, tmp_path: Path) -> None:
    async with recording(package, long, tmp_path, housekeeping=0.7, period=0.3) as prober:
        await prober.goes_on(5)
        known = prober.acknowledged()
        seen = Seen(long, certain=known)
        assert differences(seen) == []
        assert len(seen.ledger.rows) >= len(long.all.rows) + len({fed.key for fed in known})
    assert not prober.kept_house


async def test_a_figure_that_is_wrong_is_found(long: Old) -> None:
    """The comparison itself: one row that is not there, or once too often, shows in each of the figures."""
    seen = Seen(long)
    seen.soft = []
    mail = sorted((one for one in long.settled.rows.values() if one.service == "mail"), key=lambda one: one.at)
    fed = next(two for one, two in pairwise(mail) if (one.severity, two.severity) == ("o", "o"))
    for lost in (True, False):
        rows = [one for one in long.settled.rows.values() if not (lost and one is fed)]
        more = [] if lost else [fed._replace(at=fed.at + 1, severity="mo", total_ms=None)]
        seen.ledger = Ledger(long.history.zone, [*rows, *more])
        wrong = {one.what for one in differences(seen)}
        assert {"checks_15m", "service_days", "uptime_records", "latency_daily" if lost else "outages"} <= wrong
