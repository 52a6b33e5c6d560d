"""Reads the figures of a database at one moment and compares them with the figures computed from its checks.

All figures and raw rows are read in one transaction, so rows that a prober adds meanwhile are included. A figure may
lack a row only while touched_ranges has the range of this row: it is not refreshed yet.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain, pairwise
from typing import Any

import psycopg
from psycopg import IsolationLevel

import sql
from tests.upgrade.history import PUBLIC, SERVICES, CheckRow
from tests.upgrade.ledger import Ledger, Span, calendar_figures, outages_of, total_of
from tests.upgrade.old_database import OldDatabase
from tests.upgrade.processes import of_last_release

RAW = """
SELECT service_id, location, extract(epoch FROM scheduled_at)::float8, interval_seconds, severity::text,
       total_ms::float8, error_type
FROM checks
"""
TOUCHED = (
    "SELECT extract(epoch FROM lower(range))::float8, extract(epoch FROM upper(range))::float8 FROM touched_ranges"
)
QUARTERS = """
SELECT service_id, location, extract(epoch FROM bucket)::bigint, checks, operational, degraded, failed, worst::text,
       covered_seconds, degraded_seconds, down_seconds, good, sum_ms, min_ms::float8, max_ms::float8
FROM checks_15m
"""
DAYS = """
SELECT service_id, day, starts_at, locations, checks, operational, degraded, failed, status,
       covered_seconds, degraded_seconds, down_seconds, good, sum_ms, min_ms::float8, max_ms::float8
FROM service_days
"""
RECORDS = "SELECT service_id, date, status, uptime::text, response_time FROM uptime_records"
BINS = """
SELECT service_id, location, (bucket AT TIME ZONE time_zone)::date, bin::int, sum(checks)::bigint
FROM latency_daily CROSS JOIN installation GROUP BY 1, 2, 3, 4
"""
OUTAGES = """
SELECT service_id, extract(epoch FROM started_at)::float8, extract(epoch FROM ended_at)::float8, error_type
FROM outages ORDER BY started_at
"""


class Snapshot:
    """One snapshot of a database, and the ledger of the same rows."""

    def __init__(
        self, old: OldDatabase, *, base: Ledger | None = None, certain: Iterable[CheckRow] = (), exact: bool = False
    ) -> None:
        """`certain` are rows that must be stored besides those of the history, in the order of their commits.
        `exact`: no figure may lack a row, even if its range is touched."""
        url = old.url
        self.ledger = (base or old.all).copy()
        with psycopg.connect(url) as connection:
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            connection.execute("SET LOCAL statement_timeout = '60s'")

            def fetch(statement: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
                return connection.execute(statement.encode(), parameters).fetchall()

            [(self.now, today)] = fetch(
                "SELECT extract(epoch FROM now())::float8, (now() AT TIME ZONE time_zone)::date FROM installation"
            )
            self.today: date = today
            self.raw = [CheckRow(*row) for row in fetch(RAW)]
            [(exists,)] = fetch("SELECT to_regclass('touched_ranges') IS NOT NULL")
            self.touched = fetch(TOUCHED) if exists else []
            self.quarters, self.days, self.records = fetch(QUARTERS), fetch(DAYS), fetch(RECORDS)
            self.bins, self.outages = fetch(BINS), fetch(OUTAGES)
            [(migrated,)] = fetch("SELECT to_regclass('episodes') IS NOT NULL")
            self.pending = bool(migrated and fetch("SELECT FROM rollup_state WHERE legacy"))
            months = sql.query("uptime/months") if migrated else of_last_release("sql/queries/uptime/months.sql")
            self.calendars = {
                service: fetch(months, {"start_date": None, "months": 3, "service_id": service, "internal": False})
                for service in (None, *PUBLIC)
            }
        self.before_migration = old.before_migration if self.pending else None
        self.certain = list(certain)
        self._compare_raw([check for check in self.ledger.rows.values() if check.at >= old.raw_from], self.certain)
        self.ledger.add(self.raw)
        late = [check for key, check in self.ledger.rows.items() if key not in old.settled.rows]
        self.may_be_missing = [] if exact else [check for check in late if self._is_pending(check)]

    def _is_pending(self, check: CheckRow) -> bool:
        return any(low <= check.at < high for low, high in self.touched)

    def _compare_raw(self, recorded: Iterable[CheckRow], certain: Iterable[CheckRow]) -> None:
        raw = {check.key: check for check in self.raw}
        assert len(raw) == len(self.raw), "a check is stored twice"
        for check in chain(recorded, certain):
            assert raw.get(check.key) == check, f"expected {check}, found {raw.get(check.key)}"


@dataclass
class Difference:
    """A figure that differs from the expected one."""

    table: str
    key: Any
    expected: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.table} {self.key}: expected {self.expected}, found {self.found}"


def differences(snapshot: Snapshot) -> list[Difference]:
    """Returns all differences between the snapshot and its ledger."""
    ledger = snapshot.ledger
    lacking = _lacking(snapshot)
    found = _table(
        "checks_15m", {key: sums.columns() for key, sums in ledger.quarters.items()}, snapshot.quarters, 3, lacking
    )
    found += _table("service_days", ledger.of_services(), snapshot.days, 2, lacking)
    records = {key: _record(ledger, key) for key in ledger.of_services()}
    found += _table("uptime_records", records, snapshot.records, 2, lacking)
    found += _table("latency_daily", {key: (count,) for key, count in ledger.bins.items()}, snapshot.bins, 4, lacking)
    for service, rows in snapshot.calendars.items():
        found += _calendar(snapshot, service, rows)
    for service in SERVICES:
        found += _outages(snapshot, service)
    return found


def _lacking(snapshot: Snapshot) -> dict[Any, list[CheckRow]]:
    """Returns the rows that a figure may still lack, by the keys of the tables that count them."""
    lacking: dict[Any, list[CheckRow]] = defaultdict(list)
    for check in snapshot.may_be_missing:
        day = snapshot.ledger.day_of(check.at)
        lacking[check.service, check.location, int(check.at // 900) * 900].append(check)
        lacking[check.service, day].append(check)
        lacking[check.service, check.location, day].append(check)
    return lacking


def _table(
    table: str,
    expected: Mapping[Any, tuple[Any, ...]],
    rows: list[tuple[Any, ...]],
    width: int,
    lacking: dict[Any, list[CheckRow]],
) -> list[Difference]:
    """Compares the rows of a table by key. The key is the first `width` columns and must be unique."""
    found: dict[Any, tuple[Any, ...]] = {}
    different = []
    for row in rows:
        key = row[:width]
        if key in found:
            different.append(Difference(table, key, "one row", "two"))
        found[key] = row[width:]
    for key in expected.keys() | found.keys():
        wanted, actual = expected.get(key), found.get(key)
        if wanted == actual:
            continue
        late = lacking.get(key[:3] if width == 4 else key, [])
        if not (late and wanted is not None and _may_lack(wanted, actual, len(late))):
            different.append(Difference(table, key, wanted, actual))
    return different


def _may_lack(wanted: tuple[Any, ...], actual: tuple[Any, ...] | None, late: int) -> bool:
    """Returns whether the actual figures can be those without some of the `late` rows."""
    if isinstance(wanted[0], str):
        return True  # a status, an uptime or a mean: computed from sums that are compared themselves
    all_counts, counts = _counts(wanted), _counts(actual) if actual is not None else [0]
    if len(counts) < len(all_counts):
        return all_counts[0] <= late
    return all(low <= high for low, high in zip(counts, all_counts, strict=True)) and all_counts[0] - late <= counts[0]


def _counts(figures: tuple[Any, ...]) -> list[int]:
    """Returns the counts and seconds of a row. The first is the number of checks."""
    first = 2 if isinstance(figures[0], datetime) else 0
    return [number for number in figures[first:] if isinstance(number, int)]


def _record(ledger: Ledger, key: tuple[str, date]) -> tuple[str, str, int | None]:
    parts = [sums for (service, _, day), sums in ledger.days.items() if (service, day) == key]
    columns = total_of(parts)
    successful, total = columns[8], columns[9]
    assert isinstance(successful, int)
    assert isinstance(total, float)
    status, uptime, _ = calendar_figures(parts)
    return status, uptime, round(total / successful) if successful else None


def _calendar(snapshot: Snapshot, service: str | None, rows: list[tuple[Any, ...]]) -> list[Difference]:
    expected = snapshot.ledger.calendar(service)
    incomplete = {
        snapshot.ledger.day_of(check.at) for check in snapshot.may_be_missing if service in (None, check.service)
    }
    different = []
    if len({row[:2] for row in rows}) != len(rows):
        different.append(Difference("months", service, "each day once", rows))
    for month, day, status, uptime, checks, *_ in rows:
        if day in incomplete or (day is None and any(other.replace(day=1) == month for other in incomplete)):
            continue
        absent = "e" if (day or month) > snapshot.today else "nd"
        wanted = expected.get((month, day), (absent, "-", 0))
        if (status, uptime, checks) != wanted:
            different.append(Difference("months", (service, month, day), wanted, (status, uptime, checks)))
    return different


def _outages(snapshot: Snapshot, service: str) -> list[Difference]:
    expected = snapshot.ledger.outages(service, snapshot.now)
    found = [Span(*row[1:]) for row in snapshot.outages if row[0] == service]
    for number in range(max(len(expected), len(found))):
        one, other = (spans[number] if number < len(spans) else None for spans in (expected, found))
        if one is None or other is None or one[:2] != other[:2] or (one.error not in (None, other.error)):
            if (
                service != "live"
                and snapshot.before_migration is not None
                and _is_allowed(found, _outages_at_each_commit(snapshot, snapshot.before_migration, service))
            ):
                return []
            return [Difference("outages", (service, number), one, other)]
    return []


def _outages_at_each_commit(snapshot: Snapshot, before: Ledger, service: str) -> list[list[Span]]:
    """The outages of a service after each commit since just before migrate(). A prober may commit many rows while
    migrate() runs, and an outage that is derived later can stay as it was after any of these commits."""
    rows = {check.key: check for check in before.rows.values() if check.service == service}
    versions = [outages_of(rows.values(), snapshot.now)]
    for check in snapshot.certain:
        if check.service == service and check.key not in rows:
            rows[check.key] = check
            versions.append(outages_of(rows.values(), snapshot.now))
    return [*versions, snapshot.ledger.outages(service, snapshot.now)]


def _is_allowed(outages: list[Span], versions: list[list[Span]]) -> bool:
    """Returns whether these outages are possible: they contain each outage that all versions have, each of them has a
    start and an end that occur in some version, and none of them overlap."""
    common = set.intersection(*({span[:2] for span in spans} for spans in versions))
    starts = {span.started for spans in versions for span in spans}
    ends = {span.ended for spans in versions for span in spans}
    apart = all(one.ended is not None and one.ended < other.started for one, other in pairwise(outages))
    found = {span[:2] for span in outages}
    return apart and common <= found and all(start in starts and end in ends for start, end in found)
