"""The accounted days of random worlds equal those of the model: computed, stored by the worker, and after changes."""

from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from hypothesis import given, settings

from tests.oracle.local_days import DAY, local_days
from tests.sla.generate import SERVICES, Case, cases
from tests.sla.model import STATES, parts, seconds
from tests.sla.store import store, stored
from tests.sla.test_states import one_database
from tests.sla.world import World
from tests.sql.batches import Connection, fetch, value

COLUMNS = (
    "service_id, day, status::text, up_seconds, degraded_seconds, down_seconds, unknown_seconds, maintained_seconds, "
    "excluded_seconds, outside_seconds, spent_seconds"
)
READ = f"SELECT {COLUMNS} FROM sla_days_of(NULL, %s, %s) ORDER BY 1, 2"
COMPUTED = f"SELECT {COLUMNS} FROM sla_computed_days(ARRAY(SELECT id FROM services), %s, %s) ORDER BY 1, 2"
STRIPS = (
    "SELECT service_id, known::text, degraded::text, failed::text, lost_seconds, known_seconds FROM sla_strips_today()"
)
CHANGES = (
    "UPDATE sla_corrections SET withdrawn_at = present(), withdrawn_by = 'Ann' WHERE withdrawn_at IS NULL",
    "DELETE FROM maintenance_occurrences",
    "DELETE FROM holidays",
    "UPDATE sla_policy_versions SET quorum = 'all', quorum_locations = NULL, unknown = 'excluded'",
    "UPDATE service_memberships SET tags = '{}', group_name = NULL",
    "SELECT note_changed_episodes(array_agg(service_id), array_agg(starts_at)) FROM episodes",
)


class DayOf(NamedTuple):
    """A row of sla_days."""

    service: str
    day: date
    status: str
    up: Decimal
    degraded: Decimal
    down: Decimal
    unknown: Decimal
    maintained: Decimal
    excluded: Decimal
    outside: Decimal
    spent: Decimal


def expected(world: World, zone: str, first_day: date, last_day: date) -> list[DayOf]:
    """The days of the model: its spans in a longer period, cut at the bounds of the days of the installation."""
    weights = {
        (policy.id, version.number): version.degraded_weight for policy in world.policies for version in policy.versions
    }
    days = local_days(zone)
    sums: dict[tuple[str, date], dict[str, Decimal]] = {}
    for part in parts(world, SERVICES, first_day - 3 * DAY, last_day + 3 * DAY, world.now):
        for state in STATES:
            for low, high in part.spans[state]:
                for number in range((last_day - first_day).days + 1):
                    day = first_day + number * DAY
                    start, end = max(low, days.starts(day)), min(high, days.starts(day + DAY))
                    if start < end:
                        of_day = sums.setdefault((part.service, day), {name: Decimal(0) for name in (*STATES, "spent")})
                        length = seconds(end - start)
                        of_day[state] += length
                        weight = {"down": Decimal(1), "degraded": weights[part.policy, part.version]}.get(
                            state, Decimal(0)
                        )
                        of_day["spent"] += weight * length
    return [DayOf(service, day, _status(of_day), **of_day) for (service, day), of_day in sorted(sums.items())]


def _status(of_day: dict[str, Decimal]) -> str:
    return "mo" if of_day["down"] else "po" if of_day["degraded"] else "o" if of_day["up"] else "nd"


async def read(db: Connection, statement: str, first_day: date, last_day: date) -> list[DayOf]:
    return [DayOf(*row) for row in await fetch(db, statement, (first_day, last_day))]


async def refresh(db: Connection) -> None:
    while await value(db, "SELECT refresh_sla_days(1)"):
        pass


async def strips(db: Connection) -> dict[str, tuple[str, str, str, Decimal, Decimal]]:
    return {
        service: (known, degraded, failed, *sums) for service, known, degraded, failed, *sums in await fetch(db, STRIPS)
    }


def strips_of(days: list[DayOf], today: date) -> dict[str, tuple[str, str, str, Decimal, Decimal]]:
    """The strips of accounted days; the worlds have no other days."""
    found = {}
    for service in {one.service for one in days}:
        own = {(today - one.day).days: one for one in days if one.service == service}
        digits = [
            "".join("1" if own.get(age) and own[age].status in codes else "0" for age in range(89, -1, -1))
            for codes in (("o", "po", "mo"), ("po", "mo"), ("mo",))
        ]
        shown = [one for age, one in own.items() if age < 90]
        if shown:
            lost, known = sum(one.spent for one in shown), sum(one.up + one.degraded + one.down for one in shown)
            found[service] = (digits[0], digits[1], digits[2], Decimal(lost), Decimal(known))
    return found


@settings(one_database, max_examples=15)
@given(case=cases())
async def test_stored_days_are_those_of_the_model_and_follow_every_change(shared: Connection, case: Case) -> None:
    world = case.world
    first_day, last_day = case.period.first_day, case.period.last_day
    async with stored(shared):
        await shared.execute(
            "INSERT INTO services (id, name, endpoint_url) "
            "SELECT id, id, 'http://target/' FROM unnest(%s::text[]) AS id",
            (list(SERVICES),),
        )
        await shared.execute("DELETE FROM service_memberships")
        await store(shared, world)
        zone = await value(shared, "SELECT reporting_time_zone()")
        today = local_days(zone).date_of(world.now)
        days = expected(world, zone, first_day, last_day)
        assert await read(shared, READ, first_day, last_day) == days
        # Strips are stored when those of checks are.
        await shared.execute(
            "INSERT INTO day_strips (service_id, upto, known, degraded, failed, down_seconds, covered_seconds) "
            "VALUES ('other', %s, 0::bit(90), 0::bit(90), 0::bit(90), 0, 0)",
            (today - timedelta(days=1),),
        )
        ninety = expected(world, zone, min(today - 89 * DAY, first_day), today)
        assert await strips(shared) == strips_of(ninety, today)
        await refresh(shared)
        assert await value(shared, "SELECT count(*) FROM sla_changed_days") == 0
        assert await read(shared, READ, first_day, last_day) == days
        assert await strips(shared) == strips_of(ninety, today)
        for change in CHANGES:
            await shared.execute(change.encode())
            changed = await read(shared, COMPUTED, first_day, last_day)
            assert await read(shared, READ, first_day, last_day) == changed, change
            await refresh(shared)
            assert await read(shared, READ, first_day, last_day) == changed, change
