"""Random histories are replayed on a real database of each engine. Its figures, before and after a refresh, must equal
those that the oracle computes from the raw rows.

ORACLE_EXAMPLES is the number of histories; `make campaign` replays two thousand on each engine, and then as many as its
budget allows.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

from tests.campaigns import Share
from tests.oracle.driver import Database
from tests.oracle.generate import histories
from tests.oracle.history import History
from tests.oracle.moments import MIDNIGHT_ZONES, UNUSUAL_ZONES

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "100"))
one_database = settings(
    print_blob=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


async def test_the_server_and_python_have_the_same_changes_of_clocks(installation: Database) -> None:
    """A few zones may differ if the tz databases are of different years; their histories are skipped."""
    zones = {*UNUSUAL_ZONES, *MIDNIGHT_ZONES}
    different = [zone for zone in sorted(zones) if not await installation.has_same_clocks(zone)]
    print("the changes of clocks differ in", different)
    assert len(different) < len(zones) / 10


@settings(one_database, max_examples=EXAMPLES)
@given(history=histories())
async def test_the_figures_of_random_histories_are_those_of_the_oracle(
    installation: Database, history: History
) -> None:
    assume(await installation.has_same_clocks(history.zone))
    await installation.play(history)


@pytest.mark.campaign
async def test_campaign_of_random_histories(installation: Database, budget: Share) -> None:
    async def check(history: History) -> None:
        if await installation.has_same_clocks(history.zone):
            await installation.play(history)

    await budget.explore_async(check, history=histories())
