"""Writes docs/analytics.md from the comments of the schema `analytics`, and adds the columns of new views and functions
to analytics_columns.txt: `python -m tests.sql.analytics_reference`.

Lines of analytics_columns.txt are never changed: another column, type or order needs a view with the next version.
"""

import asyncio
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.engines import find_engines
from tests.servers import Servers
from tests.sql.batches import Connection, connected, fetch

DOCUMENT = Path(__file__).parents[2] / "docs" / "analytics.md"
COLUMNS = Path(__file__).with_name("analytics_columns.txt")
START = "<!-- reference -->\n"
"""The line of the document after which the reference is written."""


class Column(NamedTuple):
    """A column, or a parameter of a function."""

    name: str
    type: str
    meaning: str | None


class Relation(NamedTuple):
    """A view, or a function with its parameters."""

    name: str
    meaning: str | None
    columns: Sequence[Column]
    parameters: Sequence[Column] | None = None

    @property
    def signature(self) -> str:
        """`name`, for a function `name(parameter, …)`."""
        if self.parameters is None:
            return self.name
        return f"{self.name}({', '.join(parameter.name for parameter in self.parameters)})"

    def lines(self) -> Iterable[str]:
        """One line for each parameter and column: relation, name and type."""
        for parameter in self.parameters or ():
            yield f"{self.name}({parameter.name}) {parameter.type}"
        for column in self.columns:
            yield f"{self.name}.{column.name} {column.type}"


async def relations(db: Connection) -> list[Relation]:
    """The views and functions of the schema, in the order of their creation."""
    found = await fetch(
        db,
        "SELECT c.oid, relname, obj_description(c.oid, 'pg_class'), "
        "       array_agg(attname::text ORDER BY attnum), array_agg(format_type(atttypid, atttypmod) ORDER BY attnum), "
        "       array_agg(col_description(c.oid, attnum) ORDER BY attnum) "
        "FROM pg_class AS c JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped "
        "WHERE relnamespace = 'analytics'::regnamespace GROUP BY c.oid, relname ORDER BY c.oid",
    )
    views = [
        Relation(name, meaning, [Column(*column) for column in zip(names, types, meanings, strict=True)])
        for _, name, meaning, names, types, meanings in found
    ]
    found = await fetch(
        db,
        "SELECT proname, obj_description(oid, 'pg_proc'), proargnames, proargmodes::text[], "
        "       ARRAY(SELECT format_type(type, NULL) FROM unnest(proallargtypes) AS type) "
        "FROM pg_proc WHERE pronamespace = 'analytics'::regnamespace ORDER BY oid",
    )
    return views + [_function(*row) for row in found]


def _function(name: str, comment: str | None, names: list[str], modes: list[str], types: list[str]) -> Relation:
    """A function. The first line of its comment is its meaning; the others are `name: meaning`."""
    meaning, _, rest = (comment or "").partition("\n")
    meanings = dict(re.findall(r"^(\w+): (.+)$", rest, re.MULTILINE))
    columns = [Column(column, type_, meanings.get(column)) for column, type_ in zip(names, types, strict=True)]
    sides = {mode: [column for column, own in zip(columns, modes, strict=True) if own == mode] for mode in ("i", "t")}
    return Relation(name, meaning or None, sides["t"], sides["i"])


def reference(found: Iterable[Relation]) -> str:
    """The part of the document that describes the views and functions."""
    return "\n".join(line for relation in found for line in _section(relation))


def _section(relation: Relation) -> Iterable[str]:
    yield f"## {relation.signature}\n"
    yield f"{_sentence(relation.meaning or '')}\n"
    if relation.parameters:
        yield "| parameter | type | meaning |\n|---|---|---|"
        yield from map(_row, relation.parameters)
        yield ""
    yield "| column | type | meaning |\n|---|---|---|"
    yield from map(_row, relation.columns)
    yield ""


def _row(column: Column) -> str:
    return f"| `{column.name}` | {column.type} | {column.meaning} |"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


async def _write(url: str) -> None:
    async with connected(url) as db:
        found = await relations(db)
    start, _, _ = DOCUMENT.read_text("utf-8").partition(START)
    DOCUMENT.write_text(f"{start}{START}\n{reference(found)}", "utf-8")
    committed = COLUMNS.read_text("utf-8").splitlines() if COLUMNS.exists() else []
    known = {re.split(r"[.(]", line)[0] for line in committed}
    added = [line for relation in found if relation.name not in known for line in relation.lines()]
    COLUMNS.write_text("".join(f"{line}\n" for line in committed + added), "utf-8")


def main() -> None:
    servers = Servers(find_engines())
    server = servers.start("postgresql")
    url = server.migrated_database()
    try:
        asyncio.run(_write(url))
    finally:
        server.drop(url)
        servers.close()


if __name__ == "__main__":
    main()
