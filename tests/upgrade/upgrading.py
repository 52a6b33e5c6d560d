"""Runs an upgrade round by round and checks the database during and after it."""

import itertools
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable
from typing import Any

import psycopg
import pytest

import sql
from sla_monitor.settings import Settings
from sql import aggregates
from sql.migrate import migrate
from tests.upgrade.history import CheckRow
from tests.upgrade.ledger import Ledger, StateChange, episodes, merged, since, utc
from tests.upgrade.old_database import OldDatabase, assert_user_data_is_unchanged
from tests.upgrade.processes import PATIENCE_S
from tests.upgrade.snapshot import Snapshot, differences

EPISODES = """
SELECT service_id, location, extract(epoch FROM starts_at)::float8, extract(epoch FROM ends_at)::float8, state::text,
       estimated
FROM episodes ORDER BY service_id, location, starts_at
"""
ROUND_SECONDS = 0.05
COLUMNS = {"operational": "operational", "degraded": "degraded", "outage": "failed"}
OLD_AGGREGATES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm') "
    "AND relname LIKE 'materialized_%' "
)
CONTINUOUS_AGGREGATES = "SELECT view_name FROM timescaledb_information.continuous_aggregates"


async def pending(url: str) -> bool:
    async with await sql.connect(url, application="sla-monitor tests") as connection:
        row = await (await connection.execute("SELECT upgrade_pending()")).fetchone()
    assert row is not None
    return bool(row[0])


async def rounds(url: str) -> AsyncIterator[int]:
    """Refreshes until no upgrade is pending and yields the number of each round. The rounds are short, so a test can
    check the database at many moments. The time of these comparisons does not count as time of the upgrade."""
    spent_s = 0.0
    for number in itertools.count(1):
        began = time.monotonic()
        async with await sql.connect(url, application="sla-monitor tests") as connection:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(aggregates, "UPGRADE_SECONDS", ROUND_SECONDS, raising=False)
                done = await aggregates.refresh(connection)
        spent_s += time.monotonic() - began
        yield number
        if done and not await pending(url):
            return
        assert spent_s < PATIENCE_S, f"still pending after {number} rounds"


async def upgrade(old: OldDatabase, *, moments: Collection[int]) -> None:
    """Migrates and refreshes until the upgrade is complete. Checks the figures before the first round and after the
    rounds in `moments`."""
    await migrate(old.url, Settings())
    assert_correct(old)
    async for number in rounds(old.url):
        if number in moments:
            assert_correct(old)


def assert_correct(old: OldDatabase, certain: Iterable[CheckRow] = (), *, exact: bool = False) -> Snapshot:
    """Asserts that all figures are correct now and no row is lost."""
    snapshot = Snapshot(old, certain=certain, exact=exact)
    found = differences(snapshot)
    assert not found, "\n".join([f"{len(found)} differences", *map(str, found[:12])])
    return snapshot


async def assert_complete(old: OldDatabase, certain: Iterable[CheckRow] = ()) -> None:
    """Asserts the state of a database after its upgrade."""
    assert not await pending(old.url)
    async with await sql.connect(old.url, application="sla-monitor tests") as connection:
        await connection.execute("SELECT expire_states()")
    snapshot = assert_correct(old, certain, exact=True)
    assert (await migrate(old.url, Settings())).applied == ()
    assert_user_data_is_unchanged(old)
    assert_old_aggregates_are_dropped(old.url)
    assert_episodes_are_correct(old, snapshot)


def assert_old_aggregates_are_dropped(url: str) -> None:
    """Asserts that the aggregates of the last release no longer exist."""
    with psycopg.connect(url) as connection:
        assert connection.execute(OLD_AGGREGATES.encode()).fetchall() == []
        if connection.execute("SELECT FROM pg_extension WHERE extname = 'timescaledb'").fetchone() is not None:
            assert connection.execute(CONTINUOUS_AGGREGATES.encode()).fetchall() == []


def assert_episodes_are_correct(old: OldDatabase, snapshot: Snapshot) -> None:
    """Asserts the episodes of each service and location: they are contiguous from the first check on. They are exact
    where the raw rows are complete. Older ones are estimated and agree with the aggregates."""
    with psycopg.connect(old.url) as connection:
        stored = connection.execute(EPISODES.encode()).fetchall()
        row = connection.execute("SELECT extract(epoch FROM oldest_check())::float8").fetchone()
    assert row is not None
    complete_from = row[0] + 900
    lines: dict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
    for service, location, *rest in stored:
        lines[service, location].append(tuple(rest))
    expected = episodes(check for check in snapshot.ledger.rows.values())
    assert lines.keys() == expected.keys()
    for place, line in lines.items():
        for episode, following in itertools.pairwise(line):
            assert episode[1] == following[0], f"{place}: a gap or an overlap at {utc(following[0])}"
        assert line[-1][1] is None, f"{place}: the last episode has an end"
        first = min(check.at for check in snapshot.ledger.rows.values() if (check.service, check.location) == place)
        assert abs(line[0][0] - first) < 1800, f"{place}: from {utc(line[0][0])}, first check {utc(first)}"
        raw_from = _first_raw(snapshot, place)
        for starts, ends, _, estimated in line:
            if ends is not None and ends <= row[0]:  # the open episode after the last row is unknown, which is exact
                assert estimated, f"{place}: {utc(starts)} is older than the raw rows but not estimated"
            if raw_from is not None and starts > max(raw_from, complete_from):
                assert not estimated, f"{place}: {utc(starts)} has raw rows but is estimated"
        if raw_from is None:
            continue
        exact_from = max(raw_from, complete_from)
        found = merged(StateChange(starts, state) for starts, _, state, _ in line)
        _assert_same_states(place, since(expected[place], exact_from), since(found, exact_from), snapshot, exact_from)
        _assert_agrees_with_aggregates(place, line, snapshot.ledger, exact_from)


def _first_raw(snapshot: Snapshot, place: tuple[str, str]) -> float | None:
    return min((check.at for check in snapshot.raw if (check.service, check.location) == place), default=None)


def _assert_same_states(
    place: tuple[str, str], expected: list[StateChange], found: list[StateChange], snapshot: Snapshot, exact_from: float
) -> None:
    """Asserts equal states up to the last check. After it, an unknown time may have begun."""
    last = max(
        (check for check in snapshot.raw if (check.service, check.location) == place), key=lambda check: check.at
    )
    expires_at = last.at + 2 * last.interval + 60
    if snapshot.now > expires_at + 10:
        expected = merged([*expected, StateChange(last.at + last.interval, "unknown")])
    for wanted, actual in itertools.zip_longest(expected, found):
        assert wanted == actual, (
            f"{place}, exact from {utc(exact_from)}: expected {wanted}, found {actual}; last check {utc(last.at)}"
        )


def _assert_agrees_with_aggregates(
    place: tuple[str, str], line: list[tuple[Any, ...]], ledger: Ledger, exact_from: float
) -> None:
    """Asserts the estimated states. If all checks of a quarter of an hour have the same severity and no gap, the
    estimate has this severity too. An estimated state other than unknown occurs in a check of this quarter or the one
    before."""
    starts = [episode[0] for episode in line]
    names = {"o": "operational", "po": "degraded", "mo": "outage"}
    for (service, location, bucket), sums in ledger.quarters.items():
        middle = bucket + 450
        if (service, location) != place or bucket + 900 >= exact_from or middle < starts[0]:
            continue
        state = line[sum(begin <= middle for begin in starts) - 1][2]
        counts = {"operational": sums.operational, "degraded": sums.degraded, "outage": sums.failed}
        before = ledger.quarters.get((service, location, bucket - 900))
        observed = counts.get(state) or (before is not None and getattr(before, COLUMNS.get(state, ""), 0))
        assert state == "unknown" or observed, f"{place} at {utc(middle)}: {state}, from {counts}"
        if sums.covered >= 900 and sum(map(bool, counts.values())) == 1:
            assert state == names[sums.worst], f"{place} at {utc(middle)}: {state}, from {counts}"
