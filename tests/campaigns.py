"""Campaigns: randomised tests that run for as long as the time budget allows. Only `pytest -m campaign` runs them.

CAMPAIGN_SECONDS is the budget of all campaigns together. The fixture `budget` gives a test its share of the rest:

    @pytest.mark.campaign
    def test_kills(budget: Share) -> None:
        for number in budget.rounds():  # at least one
            ...

    @pytest.mark.campaign
    def test_zones(budget: Share) -> None:
        for zone in budget.each(ZONES):  # in random order, at least one
            ...

    @pytest.mark.campaign
    def test_any_history(budget: Share) -> None:
        budget.explore(check, history=histories)  # calls check(history=...) for each example

The summary shows the number of rounds or examples and the seed of each campaign. CAMPAIGN_SEED=<seed> repeats it.
"""

import math
import os
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, TypeVar

import pytest
from anyio import from_thread, to_thread
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.strategies import SearchStrategy

DEFAULT_S = 3600.0
BATCH = 50
"""Examples that hypothesis generates from one seed."""
MARK = "campaign"
Item = TypeVar("Item")
DEADLINE = pytest.StashKey[float]()
BEGUN = pytest.StashKey[set[str]]()


class Share:
    """The time budget of one campaign. Times are those of time.monotonic(), which all processes of a machine share."""

    def __init__(self, deadline: float, report: Callable[[str], None], number: int | None = None) -> None:
        self.deadline = deadline
        self.seed = int(os.environ.get("CAMPAIGN_SEED") or random.randrange(2**32)) if number is None else number
        self._report = report

    def left(self) -> float:
        """Returns the seconds left, 0 after the deadline."""
        return max(0.0, self.deadline - time.monotonic())

    def over(self) -> bool:
        """Whether the budget is used up."""
        return self.left() == 0

    def note(self, text: str) -> None:
        """Adds a line to the summary of the run."""
        self._report(text)

    def rounds(self) -> Iterator[int]:
        """Yields 0, 1, 2, … until the budget is used up, at least one number, and adds their count to the summary."""
        began, number = time.monotonic(), 0
        try:
            while number == 0 or not self.over():
                yield number
                number += 1
        finally:
            self.note(f"{number} rounds in {time.monotonic() - began:.0f} s")

    def each(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yields the items in random order until the budget is used up, at least one, and adds their count to the
        summary."""
        began, number, all_items = time.monotonic(), 0, list(items)
        random.Random(self.seed).shuffle(all_items)
        try:
            for item in all_items:
                if number and self.over():
                    break
                yield item
                number += 1
        finally:
            took_s = time.monotonic() - began
            self.note(f"{number} of {len(all_items)} in {took_s:.0f} s, seed {self.seed}")

    def explore(self, check: Callable[..., None], /, **strategies: SearchStrategy[Any]) -> int:
        """Calls `check` with examples until the budget is used up. Returns their number and adds it to the summary.

        After a failure hypothesis shrinks the example, even beyond the deadline. The summary names the seed that
        repeats it."""
        began, examples, failed = time.monotonic(), 0, False

        def counted(**drawn: Any) -> None:
            nonlocal examples, failed
            if self.over() and examples and not failed:
                return
            examples += 1
            try:
                check(**drawn)
            except Exception:
                failed = True
                raise

        bounds = settings(max_examples=BATCH, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        batch = self.seed
        try:
            while examples == 0 or not self.over():
                bounds(seed(batch)(given(**strategies)(counted)))()
                batch += 1
        finally:
            self.note(f"{examples} examples in {time.monotonic() - began:.0f} s, seed {batch}")
        return examples

    async def explore_async(
        self, check: Callable[..., Coroutine[Any, Any, None]], /, **strategies: SearchStrategy[Any]
    ) -> int:
        """Like `explore`, for a check that runs on the event loop of the test."""

        def blocking(**drawn: Any) -> None:
            from_thread.run(lambda: check(**drawn))

        return await to_thread.run_sync(lambda: self.explore(blocking, **strategies))


def seconds() -> float:
    """Returns CAMPAIGN_SECONDS as a number; raises pytest.UsageError if it is not one."""
    given_s = os.environ.get("CAMPAIGN_SECONDS", "").strip()
    try:
        found = float(given_s) if given_s else DEFAULT_S
    except ValueError:
        found = -1
    if not 0 <= found < math.inf:
        raise pytest.UsageError(f"CAMPAIGN_SECONDS={given_s}: not a number of seconds")
    return found


def pytest_configure(config: pytest.Config) -> None:
    """Sets the deadline. Workers of pytest-xdist use the deadline of their controller."""
    worker_input: dict[str, Any] = getattr(config, "workerinput", {})
    config.stash[DEADLINE] = worker_input.get("campaign_deadline", time.monotonic() + seconds())
    config.stash[BEGUN] = set()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["campaign_deadline"] = node.config.stash[DEADLINE]


@pytest.fixture
def budget(request: pytest.FixtureRequest) -> Share:
    """The share of this test: the rest of CAMPAIGN_SECONDS, divided by the number of campaigns that this worker has
    still to run, this one included."""
    config, node = request.config, request.node
    assert node.get_closest_marker(MARK) is not None, "only tests marked as campaigns have a budget"
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    campaigns = sum(item.get_closest_marker(MARK) is not None for item in request.session.items)
    waiting = max(1, math.ceil(campaigns / workers) - len(config.stash[BEGUN]))
    config.stash[BEGUN].add(node.nodeid)
    now = time.monotonic()
    left = max(0.0, config.stash[DEADLINE] - now)
    return Share(now + left / waiting, lambda text: node.user_properties.append((MARK, text)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    lines = [
        f"{report.nodeid}: {text}"
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, text in report.user_properties
        if name == MARK
    ]
    if lines:
        terminalreporter.section("campaigns")
        for line in lines:
            terminalreporter.line(line)
