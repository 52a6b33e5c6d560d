"""docs/analytics.md describes the schema `analytics`, and the columns of an existing version never change."""

from tests.sql.analytics_reference import COLUMNS, DOCUMENT, START, reference, relations
from tests.sql.batches import Connection

RUN = "run: python -m tests.sql.analytics_reference"


async def test_every_view_function_and_column_has_a_comment(db: Connection) -> None:
    found = await relations(db)
    assert len(found) >= 15
    without = [relation.name for relation in found if not relation.meaning]
    for relation in found:
        columns = [*(relation.parameters or ()), *relation.columns]
        assert columns
        without += [f"{relation.name}.{column.name}" for column in columns if not column.meaning]
    assert without == []


async def test_the_page_is_written_from_the_comments(db: Connection) -> None:
    _, _, written = DOCUMENT.read_text("utf-8").partition(START)
    assert written.strip() == reference(await relations(db)).strip(), RUN


async def test_columns_of_an_existing_version_never_change(db: Connection) -> None:
    """A view with other columns, types or another order needs the next version."""
    found = [line for relation in await relations(db) for line in relation.lines()]
    committed = COLUMNS.read_text("utf-8").splitlines()
    assert sorted(found) == sorted(committed), RUN
    for name in {line.partition(".")[0] for line in committed}:
        own = [line for line in committed if line.startswith(f"{name}.")]
        assert [line for line in found if line.startswith(f"{name}.")] == own
