"""Histories that hypothesis makes up are played on a real database of each engine, and whatever it answers, before and
after a refresh, at every moment that is looked at, is what the oracle computes from the raw rows.

ORACLE_EXAMPLES says how many; `-m campaign` plays some thousands.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.oracle.driver import Database
from tests.oracle.generate import histories
from tests.oracle.history import History

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "100"))
CAMPAIGN = int(os.environ.get("ORACLE_EXAMPLES", "2000"))
played_on_one_database = settings(
    print_blob=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@settings(played_on_one_database, max_examples=EXAMPLES)
@given(history=histories())
async def test_the_database_says_what_the_rows_say(played: Database, history: History) -> None:
    await played.play(history)


@pytest.mark.campaign
@settings(played_on_one_database, max_examples=CAMPAIGN)
@given(history=histories())
async def test_campaign(played: Database, history: History) -> None:
    await played.play(history)
