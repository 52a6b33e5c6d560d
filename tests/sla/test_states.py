"""The figures and spans of random worlds on each engine equal those of the model, to the microsecond."""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.campaigns import Share
from tests.sla.generate import Case, cases
from tests.sla.store import compare, stored
from tests.sql.batches import Connection

one_database = settings(
    print_blob=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@settings(one_database, max_examples=25)
@given(case=cases())
async def test_the_figures_of_random_worlds_are_those_of_the_model(shared: Connection, case: Case) -> None:
    async with stored(shared):
        await compare(shared, case.world, case.period)


@pytest.mark.campaign
async def test_campaign_of_random_worlds(shared: Connection, budget: Share) -> None:
    async def check(case: Case) -> None:
        async with stored(shared):
            await compare(shared, case.world, case.period)

    await budget.explore_async(check, case=cases())
