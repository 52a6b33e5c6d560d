"""The timelines and burn-downs of random worlds on each engine equal those of the model, to the microsecond."""

from datetime import datetime
from decimal import Decimal

from hypothesis import given, settings

from tests.sla.generate import Case, cases
from tests.sla.model import Part, parts, seconds
from tests.sla.store import store, stored
from tests.sla.test_states import one_database
from tests.sla.world import World
from tests.sql.batches import Connection, fetch

NAMES = {"maintained": "maintenance"}
SPANS = "SELECT state, lower(span), upper(span) FROM sla_timeline(%s, %s, %s, %s) ORDER BY span"
POINTS = "SELECT at, round(left_seconds, 6) FROM sla_burn_down(%s, %s, %s, %s) ORDER BY at"


def weights(world: World, part: Part) -> dict[str, Decimal]:
    """Returns the share of the time in each state that spends the budget."""
    [version] = [
        version
        for policy in world.policies
        for version in policy.versions
        if (policy.id, version.number) == (part.policy, part.version)
    ]
    return {"down": Decimal(1), "degraded": version.degraded_weight}


def burn_down(world: World, part: Part, known_at: datetime) -> list[tuple[datetime, Decimal]]:
    """Returns the points at which the spending of a part begins or ends, with the budget that is left."""
    now = min(world.now, known_at)
    if part.low >= now:
        return []
    spending = [
        (span, weight) for state, weight in weights(world, part).items() for span in part.spans[state] if weight
    ]
    moments = {part.low, min(part.high, now), *(at for span, _ in spending for at in span)}
    return [
        (
            at,
            round(
                part.budget - sum(weight * seconds(end - start) for (start, end), weight in spending if end <= at), 6
            ),
        )
        for at in sorted(moments)
    ]


@settings(one_database, max_examples=15)
@given(case=cases())
async def test_the_timelines_of_random_worlds_are_those_of_the_model(shared: Connection, case: Case) -> None:
    world, period = case
    async with stored(shared):
        await store(shared, world)
        for part in parts(world, *period[:4]):
            window = part.service, part.low, part.high, period.known_at
            expected = [(NAMES.get(state, state), *span) for state, spans in part.spans.items() for span in spans]
            assert await fetch(shared, SPANS, window) == sorted(expected, key=lambda one: one[1])
            assert await fetch(shared, POINTS, window) == burn_down(world, part, period.known_at)
