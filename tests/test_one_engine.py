"""Tests with the marker `one_engine` run on one engine. Tests of the database do not have the marker."""

from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import engines_of

TESTS = Path(__file__).parent
BOTH = ["timescaledb", "postgresql"]
DATABASE_FOLDERS = ("sql", "oracle", "upgrade", "faked_clock")


def test_the_name_of_a_test_selects_its_engine() -> None:
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
def test_markers_select_the_engines(found: list[str], only: list[str], one: bool, expected: list[str]) -> None:
    assert engines_of("tests/api/test_x.py::test_x", found, only, one=one) == expected


def test_tests_of_the_database_run_on_every_engine() -> None:
    marked = [path for folder in DATABASE_FOLDERS for path in (TESTS / folder).rglob("*.py") if _is_marked(path)]
    assert marked == []
    assert _is_marked(TESTS / "api" / "test_comments.py")


def _is_marked(path: Path) -> bool:
    return "mark.one_engine" in path.read_text()
