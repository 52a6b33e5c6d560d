"""Histories that hypothesis makes up are played on a real database of each engine, and whatever it answers, before and
after a refresh, at every moment that is looked at, is what the oracle computes from the raw rows.

ORACLE_EXAMPLES says how many; `make campaign` plays two thousand on each engine, and then as many as its budget allows.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

from tests.campaigns import Share
from tests.oracle.driver import Database
from tests.oracle.generate import histories
from tests.oracle.history import History
from tests.oracle.moments import MIDNIGHT_ZONES, ODD_ZONES

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "100"))
played_on_one_database = settings(
    print_blob=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


async def test_the_server_knows_the_same_clocks(played: Database) -> None:
    """A tz database of another year makes a few zones differ; their histories are left out."""
    zones = {*ODD_ZONES, *MIDNIGHT_ZONES}
    unlike = [zone for zone in sorted(zones) if not await played.knows(zone)]
    print("the server's clocks differ in", unlike)
    assert len(unlike) < len(zones) / 10


@settings(played_on_one_database, max_examples=EXAMPLES)
@given(history=histories())
async def test_the_database_says_what_the_rows_say(played: Database, history: History) -> None:
    assume(await played.knows(history.zone))
    await played.play(history)


@pytest.mark.campaign
async def test_campaign(played: Database, budget: Share) -> None:
    async def check(history: History) -> None:
        if await played.knows(history.zone):
            await played.play(history)

    await budget.explore_async(check, history=histories())
