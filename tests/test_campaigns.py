"""Campaigns: they are selected by their marker, and each keeps to its share of the time budget."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import strategies as st

from tests.campaigns import DEFAULT_S, Share, seconds

ROOT = Path(__file__).parents[1]


def collected(*arguments: str) -> str:
    """Returns the ids of the tests that pytest would run with these arguments, one per line."""
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout


def test_campaigns_run_only_with_their_marker() -> None:
    plain, campaigns = collected("tests/test_dates.py"), collected("tests/test_dates.py", "-m", "campaign")
    assert "tests/test_dates.py::TestDates::" not in plain
    assert "tests/test_dates.py::TestDates::" in campaigns
    assert "no tests collected" in collected("tests/api/test_colors.py", "-m", "campaign")


@pytest.mark.parametrize(("budget", "expected"), [(None, DEFAULT_S), ("", DEFAULT_S), ("300", 300), (" 0.5", 0.5)])
def test_the_budget_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, budget: str | None, expected: float
) -> None:
    monkeypatch.delenv("CAMPAIGN_SECONDS", raising=False)
    if budget is not None:
        monkeypatch.setenv("CAMPAIGN_SECONDS", budget)
    assert seconds() == expected


@pytest.mark.parametrize("budget", ["long", "-1", "inf", "nan", "5m"])
def test_an_invalid_budget_is_an_error(monkeypatch: pytest.MonkeyPatch, budget: str) -> None:
    monkeypatch.setenv("CAMPAIGN_SECONDS", budget)
    with pytest.raises(pytest.UsageError, match=f"CAMPAIGN_SECONDS={budget}: not a number of seconds"):
        seconds()


def share(seconds_left: float, notes: list[str] | None = None) -> Share:
    return Share(time.monotonic() + seconds_left, (notes if notes is not None else []).append, number=1)


class TestShare:
    def test_a_used_up_budget_allows_one_round(self) -> None:
        notes: list[str] = []
        assert list(share(-1, notes).rounds()) == [0]
        assert notes == ["1 rounds in 0 s"]

    def test_rounds_end_with_the_budget(self) -> None:
        budget = share(60)
        for number in budget.rounds():
            if number == 3:
                budget.deadline = time.monotonic()
        assert number == 3

    def test_a_used_up_budget_allows_one_item(self) -> None:
        notes: list[str] = []
        assert len(list(share(-1, notes).each(range(5)))) == 1
        assert notes == ["1 of 5 in 0 s, seed 1"]

    def test_items_end_with_the_budget(self) -> None:
        budget, notes = share(60), list[str]()
        assert sorted(share(60, notes).each(range(100))) == list(range(100))
        assert notes == ["100 of 100 in 0 s, seed 1"]
        seen = []
        for number in budget.each(range(100)):
            seen.append(number)
            if len(seen) == 7:
                budget.deadline = time.monotonic()
        assert len(set(seen)) == 7

    def test_a_used_up_budget_allows_one_example(self) -> None:
        notes: list[str] = []
        assert share(-1, notes).explore(lambda number: None, number=st.integers()) == 1
        assert notes == ["1 examples in 0 s, seed 2"]

    def test_examples_end_with_the_budget(self) -> None:
        budget, examples = share(60), set()

        def check(number: int) -> None:
            examples.add(number)
            if len(examples) == 200:
                budget.deadline = time.monotonic()

        assert budget.explore(check, number=st.integers()) >= 200
        assert len(examples) == 200

    def test_a_failure_is_shrunk_and_its_seed_reported(self) -> None:
        notes: list[str] = []
        budget, failures = share(60, notes), list[int]()

        def check(number: int) -> None:
            if number > 1000:
                failures.append(number)
                budget.deadline = time.monotonic()  # shrinking continues after the deadline
                raise AssertionError

        with pytest.raises(AssertionError):
            budget.explore(check, number=st.integers())
        assert failures[-1] == 1001
        assert notes[0].endswith("seed 1")

    async def test_async_checks_run_on_the_event_loop_of_the_test(self) -> None:
        budget, examples = share(60), list[int]()

        async def check(number: int) -> None:
            examples.append(number)
            if len(examples) == 60:
                budget.deadline = time.monotonic()

        assert await budget.explore_async(check, number=st.integers()) == 60
