"""Service levels over recorded checks equal those of the model over the episodes of the oracle.

The checks have gaps, come late and repeatedly, from three locations, around a day on which the clocks change.
"""

import random
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from tests.oracle.episodes import episodes
from tests.oracle.local_days import local_days
from tests.oracle.rows import Check as RawCheck
from tests.servers import Server
from tests.sla.generate import ZONES
from tests.sla.store import Period, compare_stored, store
from tests.sla.world import (
    Announcement,
    Check,
    Correction,
    Episode,
    Hours,
    Membership,
    Occurrence,
    Policy,
    Version,
    World,
)
from tests.sql.batches import DAY, Connection, Row, add_locations, add_services, connected, record, set_clock
from tests.sql.histories import batches, one_line

LOCATIONS = ("a", "b", "c")
DAYS = {"Europe/Berlin": date(2026, 10, 25), "Atlantic/Azores": date(2026, 10, 25), "Asia/Kolkata": date(2026, 10, 20)}
OTHER_DAY = date(2026, 11, 1)
"""The change in America/Havana and America/St_Johns."""
WINDOW = UUID(int=1)
ONE_CHECK = timedelta(minutes=1)


@pytest.fixture
async def recorded(engine: Server) -> AsyncIterator[Connection]:
    url = engine.migrated_database()
    async with connected(url) as connection:
        await add_locations(connection, *LOCATIONS)
        await add_services(connection, "web")
        yield connection
    engine.drop(url)


def observed(rows: list[Row], now: datetime) -> tuple[Episode, ...]:
    """The episodes of the oracle, after the last checks have expired."""
    found = []
    for place in LOCATIONS:
        checks = [
            RawCheck("web", place, one.scheduled_at, one.interval_seconds or 0, one.severity or "")
            for one in rows
            if one.location == place and one.scheduled_at
        ]
        found += [Episode("web", place, *one[:3]) for one in episodes(checks, [], now, ONE_CHECK)]
    return tuple(found)


def world_of(rows: list[Row], zone: str, middle: datetime, now: datetime) -> World:
    hours = timedelta(hours=1)
    first = Version(zone=zone, quorum="majority", degraded_weight=Decimal("0.5"))
    second = Version(
        number=2,
        zone=zone,
        valid_from=local_days(zone).date_of(middle),
        quorum="one",
        unknown="down",
        shortest_outage_s=1200,
        announced_minutes=60,
        hours=(Hours((1, 2, 3, 4, 5, 6, 7), "00:30", "22:00"),),
        credits=(("99.9", "10"), ("50", "25")),
    )
    planned = WINDOW, middle + 3 * hours, middle + 5 * hours, ("web",)
    return World(
        now=now,
        episodes=observed(rows, now),
        policies=(Policy(UUID(int=9), "everything", None, (first, second)),),
        corrections=(
            Correction(UUID(int=1), "service", "web", "up", ((middle, middle + 2 * hours),), middle),
            Correction(
                UUID(int=2), "everything", None, "down", ((middle + hours, middle + 3 * hours),), middle + hours
            ),
        ),
        memberships=(Membership("web"),),
        announcements=(Announcement(*planned, announced_at=middle),),
        occurrences=(Occurrence(*planned),),
        checks=tuple(Check("web", one.scheduled_at, one.severity == "mo") for one in rows if one.scheduled_at),
    )


@pytest.mark.parametrize("zone", ZONES)
async def test_recorded_checks_have_the_service_levels_of_the_model(recorded: Connection, zone: str) -> None:
    rng = random.Random(zone)
    day = DAYS.get(zone, OTHER_DAY)
    days = local_days(zone)
    low, high = days.starts(day - DAY), days.starts(day + 2 * DAY)
    rows = [one for place in LOCATIONS for one in one_line("web", place, low, high, rng)]
    now = high + timedelta(hours=3)
    await set_clock(recorded, now)
    for batch in batches(rows, rng):
        await record(recorded, batch)
    await recorded.execute("SELECT expire_states()")
    await recorded.execute("DELETE FROM service_memberships")
    world = world_of(rows, zone, days.starts(day), now)
    await store(recorded, world._replace(episodes=()))
    for first_day, last_day in ((day - DAY, day + DAY), (day, day)):
        await compare_stored(recorded, world, Period(("web",), first_day, last_day, now))
    await recorded.execute("CALL fold_checks()")
    await compare_stored(recorded, world, Period(("web",), day - DAY, day + DAY, now))
