"""The suite passes on every date: at the beginnings and ends of months, on 29 February, at midnight in UTC and in
Kathmandu, and when clocks change."""

import random
import re
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests import faked_clock
from tests.campaigns import Share

TESTS = Path(__file__).parent
FOLDERS = ("sql", "api", "prober", "sla_monitor")
USES_THE_PRESENT = re.compile(r"\bnow\(|\btoday\(|\bmidday\(|\bMIDNIGHT\b|\bhistories\b|\btime\.time\(")
MONTHS = range(1, 13)
NIGHTS = ("2027-02-01", "2027-03-01", "2027-06-15", "2028-01-01", "2028-02-29", "2028-03-01")
DATES: dict[str, list[tuple[str, str]]] = {
    "first of a month": [(f"2027-{month:02}-01 12:00", "UTC") for month in MONTHS],
    "end of a month": [
        (f"2027-{month:02}-{day} 12:00", "UTC")
        for month in MONTHS
        for day in (29, 30, 31)
        if not (month == 2 or (day == 31 and month in (4, 6, 9, 11)))
    ],
    "29 February": [("2028-02-29 12:00", "UTC"), ("2028-02-29 12:00", "Asia/Kathmandu")],
    "midnight": [(f"{night} 00:00", "UTC") for night in NIGHTS],
    "midnight in Kathmandu": [(f"{night} 00:00", "Asia/Kathmandu") for night in NIGHTS],
    "change of clocks": [("2027-03-28 03:00", "Europe/Berlin"), ("2027-10-31 02:00", "Europe/Berlin")],
}
FILES_A_ROUND = 5
CROSSED = ("midnight", "midnight in Kathmandu", "change of clocks")
"""The kinds of dates with a moment that each test crosses: it begins some seconds before."""


@cache
def date_sensitive() -> tuple[Path, ...]:
    """Returns the test files in FOLDERS that use the current time. tests/e2e and tests/pages are excluded, because they
    run other processes."""
    files = (file for folder in FOLDERS for file in sorted((TESTS / folder).glob("test_*.py")))
    return tuple(file for file in files if USES_THE_PRESENT.search(file.read_text("utf-8")))


@pytest.fixture(scope="session")
def faked_library() -> Iterator[Path]:
    """The library that fakes the clock, in a folder that PostgreSQL's own user can read; pytest's folders are
    private."""
    if shutil.which("cc") is None:
        pytest.skip("NO OTHER DATE WAS TESTED: there is no C compiler (Debian: apt-get install gcc libc6-dev)")
    folder = Path(tempfile.mkdtemp(prefix="sla-tests-clock-", dir="/tmp"))
    folder.chmod(0o711)
    yield faked_clock.build(folder)
    shutil.rmtree(folder)


@pytest.mark.campaign
class TestDates:
    def test_the_suite_passes_on_any_date(self, faked_library: Path, budget: Share) -> None:
        """Each round runs FILES_A_ROUND files on one of the dates. faked_clock.run() raises an error if a test
        fails."""
        dice = random.Random(budget.seed)
        for _ in budget.rounds():
            kind = dice.choice(list(DATES))
            local, zone = dice.choice(DATES[kind])
            at = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
            files = dice.sample(date_sensitive(), FILES_A_ROUND)
            output = faked_clock.run(faked_library, at, zone, files, deadline=budget.deadline, each=kind in CROSSED)
            budget.note(f"{kind}, {local} {zone}: {output.splitlines()[-1]}")


def test_files_that_use_the_current_time_are_found() -> None:
    found = {str(file.relative_to(TESTS)) for file in date_sensitive()}
    assert {"sql/test_clock.py", "sql/test_views.py", "api/test_maintenance.py", "prober/test_dispatch.py"} <= found
    assert "api/test_colors.py" not in found
