"""States and outages do not depend on the order and the batches in which checks are recorded."""

import itertools
import random
from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sql.batches import MINUTE, Connection, Row, add_services, fetch, now, outages, record, row, state
from tests.sql.histories import StateHistory, state_history

SLOTS = 10
LOCATIONS = ("local", "seoul", "fra-1")
NUMBERS = itertools.count()

severities = st.sampled_from(["o", "o", "po", "mo", "mo", None])
histories = st.lists(st.lists(severities, min_size=SLOTS, max_size=SLOTS), min_size=1, max_size=3)


def rows_of(history: list[list[str | None]], start: datetime) -> list[Row]:
    return [
        row(start + slot * MINUTE, severity, location=location)
        for slot in range(SLOTS)
        for location, line in zip(LOCATIONS, history, strict=False)
        if (severity := line[slot]) is not None
    ]


async def stored_history(db: Connection, service: str) -> StateHistory:
    return StateHistory(await outages(db, service), (await state(db, service))[0])


@settings(max_examples=15, print_blob=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories, recent=st.booleans(), size=st.integers(1, 12), seed=st.integers(0, 999))
async def test_states_and_outages_do_not_depend_on_the_order(
    db: Connection, history: list[list[str | None]], recent: bool, size: int, seed: int
) -> None:
    """Rows are recorded one by one, shuffled in batches, and by location."""
    ends = now() - (timedelta(seconds=20) if recent else timedelta(hours=3))
    rows = rows_of(history, ends - (SLOTS - 1) * MINUTE)
    if not rows:
        return
    names = [f"order-{next(NUMBERS)}" for _ in range(3)]
    await add_services(db, *names)
    shuffled = random.Random(seed).sample(rows, len(rows))
    by_location = sorted(rows, key=lambda one: str(one.location))
    for service, order, step in ((names[0], rows, 1), (names[1], shuffled, size), (names[2], by_location, size)):
        for first in range(0, len(order), step):
            await record(db, [one._replace(service_id=service) for one in order[first : first + step]])
    await fetch(db, "SELECT expire_states()")

    expected = state_history(rows, now())
    assert {service: await stored_history(db, service) for service in names} == dict.fromkeys(names, expected)
