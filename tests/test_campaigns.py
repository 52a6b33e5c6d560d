"""What campaigns rest on: the time they are given, and how they are chosen."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import strategies as st

from tests.campaigns import DEFAULT_S, Share, seconds

ROOT = Path(__file__).parents[1]


def collected(*arguments: str) -> str:
    """What a run with these arguments would run, a line each."""
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout


def test_only_who_asks_for_campaigns_gets_them() -> None:
    plain, asked = collected("tests/test_dates.py"), collected("tests/test_dates.py", "-m", "campaign")
    assert "tests/test_dates.py::TestDates::" not in plain
    assert "tests/test_dates.py::TestDates::" in asked
    assert "no tests collected" in collected("tests/api/test_colors.py", "-m", "campaign")


@pytest.mark.parametrize(("given", "expected"), [(None, DEFAULT_S), ("", DEFAULT_S), ("300", 300), (" 0.5", 0.5)])
def test_the_budget_of_a_run(monkeypatch: pytest.MonkeyPatch, given: str | None, expected: float) -> None:
    monkeypatch.delenv("CAMPAIGN_SECONDS", raising=False)
    if given is not None:
        monkeypatch.setenv("CAMPAIGN_SECONDS", given)
    assert seconds() == expected


@pytest.mark.parametrize("given", ["long", "-1", "inf", "nan", "5m"])
def test_a_budget_that_is_none(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("CAMPAIGN_SECONDS", given)
    with pytest.raises(pytest.UsageError, match=f"CAMPAIGN_SECONDS={given}: not a number of seconds"):
        seconds()


def share(seconds_left: float, said: list[str] | None = None) -> Share:
    return Share(time.monotonic() + seconds_left, (said if said is not None else []).append, number=1)


class TestShare:
    def test_one_round_when_it_is_over(self) -> None:
        said: list[str] = []
        assert list(share(-1, said).rounds()) == [0]
        assert said == ["1 rounds in 0 s"]

    def test_rounds_until_it_is_over(self) -> None:
        given = share(60)
        for number in given.rounds():
            if number == 3:
                given.deadline = time.monotonic()
        assert number == 3

    def test_one_item_when_it_is_over(self) -> None:
        noted: list[str] = []
        assert len(list(share(-1, noted).each(range(5)))) == 1
        assert noted == ["1 of 5 in 0 s, seed 1"]

    def test_items_until_it_is_over(self) -> None:
        given, noted = share(60), list[str]()
        assert sorted(share(60, noted).each(range(100))) == list(range(100))
        assert noted == ["100 of 100 in 0 s, seed 1"]
        seen = []
        for number in given.each(range(100)):
            seen.append(number)
            if len(seen) == 7:
                given.deadline = time.monotonic()
        assert len(set(seen)) == 7

    def test_one_example_when_it_is_over(self) -> None:
        said: list[str] = []
        assert share(-1, said).explore(lambda number: None, number=st.integers()) == 1
        assert said == ["1 examples in 0 s, seed 2"]

    def test_examples_until_it_is_over(self) -> None:
        given, seen = share(60), set()

        def check(number: int) -> None:
            seen.add(number)
            if len(seen) == 200:
                given.deadline = time.monotonic()

        assert given.explore(check, number=st.integers()) >= 200
        assert len(seen) == 200

    def test_a_failure_is_made_small_and_its_seed_is_told(self) -> None:
        said: list[str] = []
        given, failures = share(60, said), list[int]()

        def check(number: int) -> None:
            if number > 1000:
                failures.append(number)
                given.deadline = time.monotonic()  # what was found is made small all the same
                raise AssertionError

        with pytest.raises(AssertionError):
            given.explore(check, number=st.integers())
        assert failures[-1] == 1001
        assert said[0].endswith("seed 1")

    async def test_examples_on_an_event_loop(self) -> None:
        given, seen = share(60), list[int]()

        async def check(number: int) -> None:
            seen.append(number)
            if len(seen) == 60:
                given.deadline = time.monotonic()

        assert await given.explore_async(check, number=st.integers()) == 60
