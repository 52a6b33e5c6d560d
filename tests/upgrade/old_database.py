"""Databases that the last release has made and filled, and goes on filling."""

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

from tests.upgrade.history import DAY, SERVICES, Fed, History, made_up
from tests.upgrade.ledger import Ledger
from tests.upgrade.processes import PATIENCE_S, LastRelease

LONG_DAYS = 400
PEOPLE = """
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
# Whatever people have entered: an upgrade has no business in it.
KEPT = (
    *("users", "api_tokens", "incidents", "incident_services", "incident_updates", "incident_comments", "templates"),
    *("maintenance_windows", "maintenance_occurrences", "secrets", "locations", "services"),
)


@dataclass
class Old:
    """A database of the last release: its URL, what it was fed, and where its raw rows begin."""

    url: str
    history: History
    raw_from: float
    kept: dict[str, tuple[str, list[str]]]
    settled: Ledger
    """What has reached all aggregates."""
    all: Ledger
    """With the late rows that no refresh has seen."""
    before: Ledger | None = None
    """What was known just before migrate(). While the upgrade is pending, outages may be as they were at any moment
    since: what later rows change of those that are over is derived with the episodes."""


async def build(release: LastRelease, url: str, history: History) -> Old:
    """Records the history as the last release does, with its migrations, its Store and its housekeeping."""
    made = await release.call("migrate", url, {"time_zone": history.zone, "retention_days": LONG_DAYS})
    assert made["source"].startswith(str(release.package)), made["source"]
    with psycopg.connect(url, autocommit=True) as connection:
        for place in ("local", "seoul"):
            connection.execute("INSERT INTO locations (id, name) VALUES (%s, %s)", (place, place.title()))
        for service in SERVICES:
            connection.execute(
                "INSERT INTO services (id, name, endpoint_url, public) VALUES (%s, %s, 'http://target/', %s)",
                (service, service.title(), service != "intern"),
            )
        connection.execute(PEOPLE.encode())

    half, late = len(history.in_order) // 2, len(history.late) // 2
    for rows in (history.in_order[:half], history.late[:late], history.in_order[half:], history.late[late:]):
        assert await release.call("record", url, rows) == [len(rows), 0, 0]
        assert await release.call("keep_house", url) == {}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM services WHERE id = 'gone'")
        connection.execute("UPDATE services SET enabled = false WHERE id = 'intern'")
    # The retention is made shorter: what is older exists in the aggregates only from now on.
    if history.kept < LONG_DAYS * DAY:
        await release.call("migrate", url, {"retention_days": history.kept.days})
    if made["engine"] == "timescaledb":
        assert await release.call("run_jobs", url)
    assert await release.call("keep_house", url) == {}
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT extract(epoch FROM min(scheduled_at)) FROM checks").fetchone()
        assert row is not None
        kept = {table: _dump(connection, table, None) for table in KEPT}
    settled = Ledger(history.zone, history.in_order + history.late)
    return Old(url, history, float(row[0]), kept, settled, Ledger(history.zone, history.rows))


async def leave_pending(release: LastRelease, old: Old) -> None:
    """Records late rows that no refresh has seen when the upgrade comes."""
    rows = old.history.pending
    assert rows
    assert await release.call("record", old.url, rows) == [len(rows), 0, 0]


def _dump(connection: "psycopg.Connection[Any]", table: str, columns: str | None) -> tuple[str, list[str]]:
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


def what_people_entered_is_kept(old: Old) -> None:
    """Each table that an upgrade must leave alone has the rows it had, in the columns it had."""
    with psycopg.connect(old.url, autocommit=True) as connection:
        for table, (columns, rows) in old.kept.items():
            assert _dump(connection, table, columns)[1] == rows, table


@dataclass
class Prober:
    """A prober of the last release, at work in a process of its own."""

    log: Path
    migrated: Path
    release: LastRelease
    kept_house: list[dict[str, float]] = field(default_factory=list)
    closing: dict[str, Any] = field(default_factory=dict)

    def acknowledged(self) -> list[Fed]:
        """The rows whose transaction it has been told is committed, in that order. None was refused."""
        return [fed for _, fed in self.noted()]

    def noted(self) -> list[tuple[float, Fed]]:
        """The same, each with the moment at which that was known, in seconds since 1970."""
        rows = []
        text = self.log.read_text() if self.log.exists() else ""
        for line in text.splitlines(keepends=True):
            if not line.endswith("\n"):
                break  # is being written
            noted = json.loads(line)
            if "housekeeping" in noted:
                self.kept_house.append(noted["housekeeping"])
                continue
            stored, duplicates, parked = noted["done"]
            assert (stored + duplicates, parked) == (len(noted["rows"]), 0), noted
            rows += [(noted["at"], Fed(*row)) for row in noted["rows"]]
        return rows

    async def goes_on(self, more: int = 3) -> None:
        """Returns when it has had so many more batches stored."""
        known = self._batches()
        with anyio.fail_after(PATIENCE_S):
            while self._batches() < known + more and self.release.lives():  # noqa: ASYNC110  # another process writes the log
                await anyio.sleep(0.05)
        assert self._batches() >= known + more, "the prober has ended"

    def _batches(self) -> int:
        return self.log.read_bytes().count(b"\n") if self.log.exists() else 0


@asynccontextmanager
async def recording(
    package: Path, old: Old, folder: Path, *, housekeeping: float = 0, period: float = 0.5, second: int = 17
) -> AsyncIterator[Prober]:
    """Today's prober, recording the present and the past all the time. On leaving it is ended in order, and
    everything it took is stored."""
    release = await to_thread.run_sync(LastRelease, package)
    prober = Prober(folder / f"acknowledged-{second}", folder / f"migrated-{second}", release)
    try:
        release.send("probe", old.url, str(prober.log), plan(old, prober, housekeeping, period, second))
        await prober.goes_on()
        yield prober
        release.interrupt()
        prober.closing = await release.answer()
        assert prober.closing["spooled"] == 0, prober.closing
        assert not prober.closing["refused"], prober.closing
        assert len({fed.key for fed in prober.acknowledged()}) == prober.closing["put"]
    finally:
        release.end()


def plan(old: Old, prober: Prober, housekeeping: float, period: float, second: int) -> dict[str, Any]:
    """What the prober records: the present of `live`, and late rows of the others, never of the last two hours, nor
    of the last local day but one so that it stays a day without late rows."""
    now = datetime.now(UTC)
    low = max(now - old.history.kept, datetime.fromtimestamp(old.raw_from, UTC)) + timedelta(days=1, hours=2)
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


def suite_history(zone: str, *, kept_days: int = 12, days: int = 44, fine_days: int = 9) -> History:
    """The history that the suite upgrades. With 44 days, a month of it is dropped by 12 days' retention on any date."""
    now = datetime.now(UTC).replace(microsecond=0)
    return made_up(zone, now, kept=timedelta(days=kept_days), days=days, fine_days=fine_days)
