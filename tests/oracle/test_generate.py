"""The strategy for histories: enough of them cross a change of clocks, and they are consistent."""

import hypothesis
from hypothesis import HealthCheck, given, settings

from tests.oracle.generate import histories
from tests.oracle.history import Advance, History, Record
from tests.oracle.moments import changes_of_clocks

SHARE = 0.3
EXAMPLES = 60


def test_three_in_ten_histories_cross_a_change_of_clocks() -> None:
    crossing = []

    @settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))
    @hypothesis.seed(8)
    @given(history=histories())
    def record_crossing(history: History) -> None:
        crossing.append(history.crosses_a_change(changes_of_clocks(history.zone)))

    record_crossing()
    print(sum(crossing), len(crossing))
    assert sum(crossing) >= SHARE * len(crossing)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(history=histories())
def test_the_clock_advances_and_a_batch_has_one_result_for_each_check(history: History) -> None:
    clock = history.begins
    for step in history.steps:
        if isinstance(step, Advance):
            assert step.to >= clock
            clock = step.to
        if isinstance(step, Record):
            assert len({one.key for one in step.batch}) == len(set(step.batch))
