"""The rule for texts of one line, in Python and in the database."""

import unicodedata

import psycopg
import pytest
from psycopg.errors import CheckViolation

import sql.schema
from sla_monitor.formats.one_line import fits_one_line, is_label, on_one_line
from sla_monitor.settings import Settings
from sla_monitor.settings.values import title
from sql.migrate import migrate

ALLOWED = [
    "Shop",
    "한국어",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 family",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "no\u00a0break",
    "soft\u00adhyphen",
    "\u2764\ufe0f",
    "\U0001f1f0\U0001f1f7",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "e\u0301",
    "\u05d0\u200f",
]
REFUSED = [
    "a\nb",
    "a\rb",
    "a\tb",
    "a\x0bb",
    "\x1b[31m",
    "a\x7f",
    "a\x85b",
    "a\x9b",
    "a\u2028b",
    "a\u2029b",
    "a\u202egnp.exe",
    "a\u2066b\u2069",
]
INVISIBLE = ["", " ", "\u00a0", "\u200b\u200d", "\u00ad", "\ufe0f", "\u3000 ", "\u3164", "\ufeff"]
SURROGATES = range(0xD800, 0xE000)


@pytest.mark.parametrize("text", ALLOWED)
def test_characters_of_written_languages_are_allowed(text: str) -> None:
    assert fits_one_line(text)
    assert is_label(text)
    assert on_one_line(text, "?") == text
    assert title(text) == text


@pytest.mark.parametrize("text", [*REFUSED, "\ud800"])
def test_characters_that_break_a_line_or_deceive_are_refused(text: str) -> None:
    assert not fits_one_line(text)
    assert not is_label(text)
    assert fits_one_line(on_one_line(text, "?"))
    with pytest.raises(ValueError, match="one line"):
        title(text)


@pytest.mark.parametrize("text", INVISIBLE)
def test_an_invisible_text_is_not_a_label(text: str) -> None:
    assert fits_one_line(text)
    assert not is_label(text)


def test_all_control_characters_and_bidirectional_overrides_are_refused() -> None:
    refused = {chr(code) for code in range(0x110000) if not fits_one_line(chr(code))}
    assert {char for char in refused if unicodedata.category(char) not in ("Cc", "Cs")} == {
        *("\u2028\u2029"),
        *("\u202a\u202b\u202c\u202d\u202e"),
        *("\u2066\u2067\u2068\u2069"),
    }
    assert {chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Cc", "Cs")} <= refused


def test_the_database_has_the_same_rules(database: str) -> None:
    """For every character, and for sequences of characters."""
    characters = [chr(code) for code in range(1, 0x110000) if code not in SURROGATES]
    statement = "SELECT array_agg(fits_one_line(text) ORDER BY n), array_agg(is_label(text) ORDER BY n) "
    statement += "FROM unnest(%s::text[]) WITH ORDINALITY AS given (text, n)"
    texts = [*characters, *ALLOWED, *REFUSED, *INVISIBLE, "a\u200b", "\u200b\n"]
    with psycopg.connect(database) as connection:
        row = connection.execute(statement.encode(), [texts]).fetchone()
    assert row is not None
    assert [ascii(text) for text, fits in zip(texts, row[0], strict=True) if fits != fits_one_line(text)] == []
    assert [ascii(text) for text, label in zip(texts, row[1], strict=True) if label != is_label(text)] == []


ROWS = (
    "INSERT INTO services (id, name, endpoint_url) VALUES ('shop', 'Shop', 'http://a/')",
    "INSERT INTO incidents (title, severity, priority) VALUES ('Down', 'low', 'P3')",
    "INSERT INTO templates (name, title, severity, priority, author) VALUES ('A', 'B', 'low', 'P3', 'kim')",
)


@pytest.mark.parametrize("text", [*REFUSED, *ALLOWED[1:4], "\u200b"])
def test_the_constraints_of_the_tables_apply_the_rules(any_database: str, text: str) -> None:
    columns = {
        ("services", "name"): is_label,
        ("services", "group_name"): is_label,
        ("services", "keyword"): fits_one_line,
        ("services", "keyword_absent"): fits_one_line,
        ("services", "json_value"): fits_one_line,
        ("incidents", "title"): is_label,
        ("incidents", "reporter"): fits_one_line,
        ("templates", "name"): is_label,
        ("templates", "title"): is_label,
    }
    with psycopg.connect(any_database, autocommit=True) as connection:
        for row in ROWS:
            connection.execute(row.encode())
        for (table, column), allowed in columns.items():
            update = f"UPDATE {table} SET {column} = %s"
            if allowed(text):
                connection.execute(update.encode(), [text])
                continue
            with pytest.raises(CheckViolation) as refused:
                connection.execute(update.encode(), [text])
            assert refused.value.diag.constraint_name == f"{table}_{column}"
        tags = "UPDATE services SET tags = %s"
        if is_label(text):
            connection.execute(tags.encode(), [["eu", text]])
        else:
            with pytest.raises(CheckViolation):
                connection.execute(tags.encode(), [["eu", text]])


async def test_an_upgrade_repairs_stored_texts(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before migration 0014 a title could contain any character. A repaired row can be changed."""
    all_parts = sql.schema.folder

    with monkeypatch.context() as patch:
        patch.setattr(
            sql.schema,
            "folder",
            lambda *path: ((name, text) for name, text in all_parts(*path) if name != "0014_one_line"),
        )
        await migrate(empty_database, Settings())
    with psycopg.connect(empty_database, autocommit=True) as connection:
        for given in ("Down\r\nagain\x1b[31m", "\u202egnp", "\u200b"):
            connection.execute(
                "INSERT INTO incidents (title, severity, priority, reporter) VALUES (%s, 'low', 'P3', 'a\nb')", [given]
            )
        # The current trigger needs functions of the migration that is left out.
        connection.execute("ALTER TABLE services DISABLE TRIGGER services_check_config")
        connection.execute(
            "INSERT INTO services (id, name, endpoint_url, tags, keyword, check_config) "
            "VALUES ('shop', 'a\nb', 'http://a/', %s, 'x\u202ey', '{\"type\": \"http\"}'), "
            "('pay', 'Pay', 'http://b/', '{eu}', NULL, '{\"type\": \"http\"}')",
            [["eu", "\u2066", "de\x01"]],
        )
        for name in ("a\nb", "a\rb"):
            connection.execute(
                "INSERT INTO templates (name, title, severity, priority, author) "
                "VALUES (%s, 'x\ny', 'low', 'P3', 'kim')",
                [name],
            )
        connection.execute(
            "INSERT INTO maintenance_windows (title, affected_services, starts_at, ends_at, time_zone, author) "
            "VALUES ('a\nb', '{shop}', now(), now() + interval '1 hour', 'UTC', 'kim')"
        )
    await migrate(empty_database, Settings())
    with psycopg.connect(empty_database, autocommit=True) as connection:
        titles = connection.execute("SELECT title, reporter FROM incidents ORDER BY id").fetchall()
        assert titles == [("Down again\ufffd[31m", "a b"), ("\ufffdgnp", "a b"), ("\ufffd", "a b")]
        services = connection.execute("SELECT name, tags, keyword FROM services ORDER BY id DESC").fetchall()
        assert services == [("a b", ["eu", "\ufffd", "de\ufffd"], "x\ufffdy"), ("Pay", ["eu"], None)]
        names = connection.execute("SELECT name LIKE 'a b ________', title FROM templates").fetchall()
        assert names == [(True, "x y")] * 2
        assert connection.execute("SELECT title FROM maintenance_windows").fetchall() == [("a b",)]
        connection.execute("UPDATE incidents SET status = 'resolved'")
