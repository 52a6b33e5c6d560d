"""The upgrade itself, round by round, and what must hold when it is over."""

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
from tests.upgrade.history import Fed
from tests.upgrade.ledger import Ledger, Line, episodes, merged, since, utc
from tests.upgrade.old_database import Old, what_people_entered_is_kept
from tests.upgrade.processes import PATIENCE_S
from tests.upgrade.snapshot import Seen, differences

EPISODES = """
SELECT service_id, location, extract(epoch FROM starts_at)::float8, extract(epoch FROM ends_at)::float8, state::text,
       estimated
FROM episodes ORDER BY service_id, location, starts_at
"""
ROUND_SECONDS = 0.05
COLUMNS = {"operational": "operational", "degraded": "degraded", "outage": "failed"}
LEFT = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm') "
    "AND relname LIKE 'materialized_%' "
)
CONTINUOUS = "SELECT view_name FROM timescaledb_information.continuous_aggregates"


async def pending(url: str) -> bool:
    async with await sql.connect(url, application="sla-monitor tests") as connection:
        row = await (await connection.execute("SELECT upgrade_pending()")).fetchone()
    assert row is not None
    return bool(row[0])


async def rounds(url: str) -> AsyncIterator[int]:
    """Refreshes until no upgrade is pending, the number of each round that was ours. Rounds are made short, so that
    there are many moments between them."""
    deadline = time.monotonic() + PATIENCE_S
    for number in itertools.count(1):
        async with await sql.connect(url, application="sla-monitor tests") as connection:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(aggregates, "UPGRADE_SECONDS", ROUND_SECONDS, raising=False)
                done = await aggregates.refresh(connection)
        yield number
        if done and not await pending(url):
            return
        assert time.monotonic() < deadline, f"still pending after {number} rounds"


async def upgrade(old: Old, *, moments: Collection[int]) -> None:
    """Migrates and refreshes until all is there; figures are right before the first round and after some."""
    await migrate(old.url, Settings())
    right(old)
    async for number in rounds(old.url):
        if number in moments:
            right(old)


def right(old: Old, certain: Iterable[Fed] = (), *, exact: bool = False) -> Seen:
    """All figures are right at this moment, and no row is lost."""
    seen = Seen(old, certain=certain, exact=exact)
    wrong = differences(seen)
    assert not wrong, "\n".join([f"{len(wrong)} figures are wrong", *map(str, wrong[:12])])
    return seen


async def complete(old: Old, certain: Iterable[Fed] = ()) -> None:
    """What holds once an upgrade is over."""
    assert not await pending(old.url)
    async with await sql.connect(old.url, application="sla-monitor tests") as connection:
        await connection.execute("SELECT expire_states()")
    seen = right(old, certain, exact=True)
    assert (await migrate(old.url, Settings())).applied == ()
    what_people_entered_is_kept(old)
    nothing_is_left(old.url)
    episodes_are_right(old, seen)


def nothing_is_left(url: str) -> None:
    """The last release's aggregates are gone."""
    with psycopg.connect(url) as connection:
        assert connection.execute(LEFT.encode()).fetchall() == []
        if connection.execute("SELECT FROM pg_extension WHERE extname = 'timescaledb'").fetchone() is not None:
            assert connection.execute(CONTINUOUS.encode()).fetchall() == []


def episodes_are_right(old: Old, seen: Seen) -> None:
    """Of each service and location: contiguous from its first check on; exact where the raw rows are complete, else
    estimated and in agreement with the aggregates."""
    with psycopg.connect(old.url) as connection:
        stored = connection.execute(EPISODES.encode()).fetchall()
        row = connection.execute("SELECT extract(epoch FROM oldest_check())::float8").fetchone()
    assert row is not None
    complete_from = row[0] + 900
    lines: dict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
    for service, location, *rest in stored:
        lines[service, location].append(tuple(rest))
    must = episodes(fed for fed in seen.ledger.rows.values())
    assert lines.keys() == must.keys()
    for place, line in lines.items():
        for one, following in itertools.pairwise(line):
            assert one[1] == following[0], f"{place}: a gap or an overlap at {utc(following[0])}"
        assert line[-1][1] is None, f"{place}: the last one has ended"
        first = min(fed.at for fed in seen.ledger.rows.values() if (fed.service, fed.location) == place)
        assert abs(line[0][0] - first) < 1800, f"{place}: from {utc(line[0][0])}, first check {utc(first)}"
        raw_from = _first_raw(seen, place)
        for starts, ends, _, estimated in line:
            if ends is not None and ends <= row[0]:  # a place without rows from then on is known to be unknown
                assert estimated, f"{place}: {utc(starts)} is older than the raw rows"
            if raw_from is not None and starts > max(raw_from, complete_from):
                assert not estimated, f"{place}: {utc(starts)} is known from raw rows"
        if raw_from is None:
            continue
        exact_from = max(raw_from, complete_from)
        found = merged(Line(starts, state) for starts, _, state, _ in line)
        _same(place, since(must[place], exact_from), since(found, exact_from), seen, exact_from)
        _agrees(place, line, seen.ledger, exact_from)


def _first_raw(seen: Seen, place: tuple[str, str]) -> float | None:
    return min((fed.at for fed in seen.raw if (fed.service, fed.location) == place), default=None)


def _same(place: tuple[str, str], must: list[Line], does: list[Line], seen: Seen, exact_from: float) -> None:
    """The same, up to the last check: after it an unknown time may have begun."""
    last = max((fed for fed in seen.raw if (fed.service, fed.location) == place), key=lambda fed: fed.at)
    life = last.at + 2 * last.interval + 60
    if seen.now > life + 10:
        must = merged([*must, Line(last.at + last.interval, "unknown")])
    for one, other in itertools.zip_longest(must, does):
        assert one == other, (
            f"{place}, exact from {utc(exact_from)}: must be {one}, is {other}; last check {utc(last.at)}"
        )


def _agrees(place: tuple[str, str], line: list[tuple[Any, ...]], ledger: Ledger, exact_from: float) -> None:
    """Where all checks of a quarter of an hour say the same and leave no gap, so does the estimate; and never is there
    a state that no check of it has seen, nor one of the quarter before."""
    starts = [one[0] for one in line]
    names = {"o": "operational", "po": "degraded", "mo": "outage"}
    for (service, location, bucket), sums in ledger.quarters.items():
        middle = bucket + 450
        if (service, location) != place or bucket + 900 >= exact_from or middle < starts[0]:
            continue
        state = line[sum(begin <= middle for begin in starts) - 1][2]
        counts = {"operational": sums.operational, "degraded": sums.degraded, "outage": sums.failed}
        before = ledger.quarters.get((service, location, bucket - 900))
        seen = counts.get(state) or (before is not None and getattr(before, COLUMNS.get(state, ""), 0))
        assert state == "unknown" or seen, f"{place} at {utc(middle)}: {state}, of {counts}"
        if sums.covered >= 900 and sum(map(bool, counts.values())) == 1:
            assert state == names[sums.worst], f"{place} at {utc(middle)}: {state}, of {counts}"
