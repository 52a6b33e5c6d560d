"""What runs on one engine only: the tests that are marked so, and they are about the API alone."""

from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import engines_of

TESTS = Path(__file__).parent
BOTH = ["timescaledb", "postgresql"]
OF_THE_DATABASE = ("sql", "oracle", "upgrade", "faked_clock")


def test_the_name_of_a_test_decides() -> None:
    names = [f"tests/api/test_comments.py::test_{number}" for number in range(1000)]
    chosen = [engines_of(name, BOTH, (), one=True) for name in names]
    assert chosen == [engines_of(name, BOTH, (), one=True) for name in names]
    counts = Counter(name for [name] in chosen)
    assert all(450 < counts[name] < 550 for name in BOTH)


@pytest.mark.parametrize(
    ("found", "only", "one", "expected"),
    [
        (BOTH, (), False, BOTH),
        (["postgresql"], (), True, ["postgresql"]),
        (BOTH, BOTH, True, BOTH),
        (BOTH, ["timescaledb"], True, ["timescaledb"]),
        (["given-postgresql", "postgresql"], ["postgresql"], False, ["given-postgresql", "postgresql"]),
    ],
)
def test_others_run_where_they_say(found: list[str], only: list[str], one: bool, expected: list[str]) -> None:
    assert engines_of("tests/api/test_x.py::test_x", found, only, one=one) == expected


def test_no_test_of_the_database_runs_on_one_engine() -> None:
    marked = [path for folder in OF_THE_DATABASE for path in (TESTS / folder).rglob("*.py") if _marks(path)]
    assert marked == []
    assert _marks(TESTS / "api" / "test_comments.py")


def _marks(path: Path) -> bool:
    return "mark.one_engine" in path.read_text()
