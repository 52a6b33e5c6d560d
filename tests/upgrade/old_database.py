"""Databases that the last release has created and filled, and into which its probers record."""

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import psycopg
from anyio import to_thread

from tests.upgrade.history import DAY, SERVICES, CheckRow, History, generate
from tests.upgrade.ledger import Ledger
from tests.upgrade.processes import PATIENCE_S, LastRelease

LONG_DAYS = 400
USER_DATA = """
INSERT INTO users (username, email, password_hash, role) VALUES
    ('ada', 'ada@example.org', '$argon2id$made-up', 'admin'),
    ('bob', 'bob@example.org', '$argon2id$made-up', 'reporter');
INSERT INTO api_tokens (owner_id, name, role, token_hash)
    SELECT id, 'ci', 'viewer', '\\x00ff' FROM users WHERE username = 'ada';
INSERT INTO incidents (title, description, severity, priority, author, created_at) VALUES
    ('Mail is late', 'It *is*.', 'high', 'P1', 'ada', now() - interval '20 days'),
    ('Old news', NULL, 'low', 'P3', 'bob', now() - interval '100 days');
INSERT INTO incident_services (incident_id, service_id) SELECT id, 'mail' FROM incidents;
INSERT INTO incident_comments (incident_id, author, text, public) SELECT id, 'bob', 'Seen. 見た', true FROM incidents;
UPDATE incidents SET status = 'resolved' WHERE title = 'Old news';
INSERT INTO templates (name, title, severity, priority, author) VALUES ('Late', 'Mail is late', 'high', 'P1', 'ada');
INSERT INTO maintenance_windows (title, affected_services, starts_at, ends_at, time_zone, author)
    VALUES ('Disks', '{mail}', now() - interval '9 days', now() - interval '9 days' + interval '2 hours', 'UTC', 'ada');
INSERT INTO secrets (name, value) VALUES ('made-up', 'secret');
"""
# The tables of users, incidents and settings: an upgrade does not change them.
UNCHANGED_TABLES = (
    *("users", "api_tokens", "incidents", "incident_services", "incident_updates", "incident_comments", "templates"),
    *("maintenance_windows", "maintenance_occurrences", "secrets", "locations", "services"),
)


@dataclass
class OldDatabase:
    """A database of the last release: its URL, its history, and the time of its oldest raw row."""

    url: str
    history: History
    raw_from: float
    user_data: dict[str, tuple[str, list[str]]]
    settled: Ledger
    """The checks that are in all aggregates."""
    all: Ledger
    """All checks: those, and the late rows that no refresh has processed."""
    before_migration: Ledger | None = None
    """The checks just before migrate(). While the upgrade is pending, a past outage may lack the effect of rows that
    were recorded since: it is derived with the episodes."""


async def build(release: LastRelease, url: str, history: History) -> OldDatabase:
    """Records the history with the migrations, the Store and the housekeeping of the last release."""
    created = await release.call("migrate", url, {"time_zone": history.zone, "retention_days": LONG_DAYS})
    assert created["source"].startswith(str(release.package)), created["source"]
    with psycopg.connect(url, autocommit=True) as connection:
        for place in ("local", "seoul"):
            connection.execute("INSERT INTO locations (id, name) VALUES (%s, %s)", (place, place.title()))
        for service in SERVICES:
            connection.execute(
                "INSERT INTO services (id, name, endpoint_url, public) VALUES (%s, %s, 'http://target/', %s)",
                (service, service.title(), service != "intern"),
            )
        connection.execute(USER_DATA.encode())

    half, late = len(history.in_order) // 2, len(history.late) // 2
    for rows in (history.in_order[:half], history.late[:late], history.in_order[half:], history.late[late:]):
        assert await release.call("record", url, rows) == [len(rows), 0, 0]
        assert await release.call("housekeep", url) == {}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM services WHERE id = 'gone'")
        connection.execute("UPDATE services SET enabled = false WHERE id = 'intern'")
    # The retention is shortened: older checks are in the aggregates only.
    if history.retention < LONG_DAYS * DAY:
        await release.call("migrate", url, {"retention_days": history.retention.days})
    if created["engine"] == "timescaledb":
        assert await release.call("run_jobs", url)
    assert await release.call("housekeep", url) == {}
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT extract(epoch FROM min(scheduled_at)) FROM checks").fetchone()
        assert row is not None
        user_data = {table: _dump(connection, table, None) for table in UNCHANGED_TABLES}
    settled = Ledger(history.zone, history.in_order + history.late)
    return OldDatabase(url, history, float(row[0]), user_data, settled, Ledger(history.zone, history.rows))


async def leave_pending(release: LastRelease, old: OldDatabase) -> None:
    """Records late rows that no refresh has processed before the upgrade."""
    rows = old.history.pending
    assert rows
    assert await release.call("record", old.url, rows) == [len(rows), 0, 0]


def _dump(connection: "psycopg.Connection[Any]", table: str, columns: str | None) -> tuple[str, list[str]]:
    """Returns the names of the columns (all if `columns` is None) and the rows of a table as sorted texts."""
    if columns is None:
        row = connection.execute(
            "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            (table,),
        ).fetchone()
        assert row is not None
        columns = str(row[0])
    rows = connection.execute(f"SELECT row({columns})::text FROM {table} ORDER BY 1".encode()).fetchall()
    return columns, [str(text) for (text,) in rows]


def assert_user_data_is_unchanged(old: OldDatabase) -> None:
    """Asserts that each of UNCHANGED_TABLES has the same rows in the same columns."""
    with psycopg.connect(old.url, autocommit=True) as connection:
        for table, (columns, rows) in old.user_data.items():
            assert _dump(connection, table, columns)[1] == rows, table


@dataclass
class Prober:
    """A prober of the last release that records in a process of its own."""

    log: Path
    migrated: Path
    release: LastRelease
    housekeeping_failures: list[dict[str, float]] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)

    def acknowledged(self) -> list[CheckRow]:
        """The committed rows in the order of their commits. Asserts that none was refused."""
        return [check for _, check in self.log_entries()]

    def log_entries(self) -> list[tuple[float, CheckRow]]:
        """The committed rows, each with the time of its log entry in seconds since 1970."""
        rows = []
        text = self.log.read_text() if self.log.exists() else ""
        for line in text.splitlines(keepends=True):
            if not line.endswith("\n"):
                break  # the prober is writing this line
            entry = json.loads(line)
            if "housekeeping" in entry:
                self.housekeeping_failures.append(entry["housekeeping"])
                continue
            stored, duplicates, parked = entry["done"]
            assert (stored + duplicates, parked) == (len(entry["rows"]), 0), entry
            rows += [(entry["at"], CheckRow(*row)) for row in entry["rows"]]
        return rows

    async def wait_for_batches(self, count: int = 3) -> None:
        """Waits until the prober has stored this many more batches."""
        before = self._count_batches()
        with anyio.fail_after(PATIENCE_S):
            while self._count_batches() < before + count and self.release.is_alive():  # noqa: ASYNC110  # another process writes the log
                await anyio.sleep(0.05)
        assert self._count_batches() >= before + count, "the prober has ended"

    def _count_batches(self) -> int:
        return self.log.read_bytes().count(b"\n") if self.log.exists() else 0


@asynccontextmanager
async def recording(
    package: Path, old: OldDatabase, folder: Path, *, housekeeping: float = 0, period: float = 0.5, second: int = 17
) -> AsyncIterator[Prober]:
    """Runs a prober of the last release that records current and late checks. At the end it stops, and all checks that
    it accepted must be stored."""
    release = await to_thread.run_sync(LastRelease, package)
    prober = Prober(folder / f"acknowledged-{second}", folder / f"migrated-{second}", release)
    try:
        release.send("probe", old.url, str(prober.log), plan(old, prober, housekeeping, period, second))
        await prober.wait_for_batches()
        yield prober
        release.interrupt()
        prober.result = await release.response()
        assert prober.result["spooled"] == 0, prober.result
        assert not prober.result["refused"], prober.result
        assert len({check.key for check in prober.acknowledged()}) == prober.result["put"]
    finally:
        release.end()


def plan(old: OldDatabase, prober: Prober, housekeeping: float, period: float, second: int) -> dict[str, Any]:
    """Returns the plan of a prober: current checks of `live`, and late checks of the other services that are at least
    three hours old."""
    now = datetime.now(UTC)
    low = max(now - old.history.retention, datetime.fromtimestamp(old.raw_from, UTC)) + timedelta(days=1, hours=2)
    return {
        "seed": random.randrange(2**32),
        "location": "local",
        "period": period,
        "housekeeping": housekeeping,
        "migrated": str(prober.migrated),
        "second": second,
        "present": ["live"] if second == 17 else [],
        "late": [["web", "seoul"], ["mail", "local"], ["shop", "local"]],
        "spans": [
            [low.timestamp(), (now - timedelta(hours=3)).timestamp()],
            [(now - timedelta(hours=30)).timestamp(), (now - timedelta(hours=3)).timestamp()],
        ],
    }


def suite_history(zone: str, *, retention_days: int = 12, days: int = 44, fine_days: int = 9) -> History:
    """Returns the history of the tests. Of 44 days, a retention of 12 days drops at least one month on any date."""
    now = datetime.now(UTC).replace(microsecond=0)
    return generate(zone, now, retention=timedelta(days=retention_days), days=days, fine_days=fine_days)
