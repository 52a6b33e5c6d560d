"""Every .sql file is valid for the parser of PostgreSQL 18 (libpg_query) and follows the format rules.

The parser has no catalog and does not check types. PostgreSQL checks them when the migrations run.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pglast import parse_plpgsql, parse_sql
from pglast.parser import ParseError, scan

ROOT = Path(__file__).parent.parent
FOLDERS = ("sql", "continuous_aggregates", "bench", "tests")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.sql"))
CHANGEABLE = [path for path in FILES if "migrations" not in path.parts]
LONGEST_LINE = 144
"""Characters per line, not counting string literals, which cannot be broken."""
LOWERCASE_KEYWORDS = {"true", "false", "session_user"}
NEEDS_A_CATALOG = re.compile(r"pseudo-type|cannot accept type")


def statements(path: Path) -> str:
    """Returns the text with psycopg's placeholders replaced by parameters, or by names before an opening
    parenthesis."""
    text = re.sub(r"\{(\w+)\}(?=\()", r"\1", path.read_text("utf-8"))
    return re.sub(r"%\(\w+\)s|\{\w+\}", "$1", text).replace("%%", "%")


def parse_errors(path: Path) -> Iterator[str]:
    text = statements(path)
    try:
        parse_sql(text)
        if "LANGUAGE plpgsql" in text:
            parse_plpgsql(text)
    except ParseError as error:
        if not NEEDS_A_CATALOG.search(str(error)):
            yield f"{path.relative_to(ROOT)}: {error}"


def format_errors(path: Path) -> Iterator[str]:
    name, text = path.relative_to(ROOT), path.read_text("utf-8")
    if not text.endswith("\n") or text.endswith("\n\n"):
        yield f"{name}: must end with one newline"
    for number, line in enumerate(text.splitlines(), 1):
        if line != line.rstrip() or "\t" in line:
            yield f"{name}:{number}: a tab, or trailing blanks"
        if len(re.sub(r"'[^']*'", "", line)) > LONGEST_LINE:
            yield f"{name}:{number}: longer than {LONGEST_LINE} characters"
    text = statements(path)
    for token in scan(text):
        word = text[token.start : token.end + 1]
        if token.kind == "RESERVED_KEYWORD" and not word.isupper() and word not in LOWERCASE_KEYWORDS:
            yield f"{name}: the keyword {word} in lower case"


def test_all_folders_are_searched() -> None:
    assert {path.parent.name for path in FILES} >= {"migrations", "functions", "views", "timescaledb", "postgresql"}


def test_every_file_parses() -> None:
    assert [error for path in FILES for error in parse_errors(path)] == []


def test_every_file_except_migrations_follows_the_format_rules() -> None:
    assert [error for path in CHANGEABLE for error in format_errors(path)] == []


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("SELECT 1 LIMIT FROM checks\n", "syntax error"),
        ("select 1\n", "the keyword select in lower case"),
        ("SELECT 1 \n", "trailing blanks"),
        ("SELECT 1", "must end with one newline"),
        (f"SELECT {'x' * LONGEST_LINE}\n", "longer than"),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS\n$$\nBEGIN\n    RETRUN 1;\nEND\n$$;\n",
            "syntax error",
        ),
    ],
)
def test_errors_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, error: str) -> None:
    monkeypatch.setattr("tests.test_sql_files.ROOT", tmp_path)
    path = tmp_path / "wrong.sql"
    path.write_text(text, "utf-8")
    found = [*parse_errors(path), *([] if error == "syntax error" else format_errors(path))]
    assert len(found) == 1
    assert error in found[0]
