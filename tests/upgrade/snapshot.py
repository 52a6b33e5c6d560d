"""What a database says at one moment, compared with what its checks come to.

All is read in one transaction, with the raw rows that a prober has added meanwhile: they are known from its log, or on
their way. A figure may lack a row only while the database itself says that this row's range is still to be refreshed.
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
from tests.upgrade.history import PUBLIC, SERVICES, Fed
from tests.upgrade.ledger import Ledger, Span, added_up, shown, story
from tests.upgrade.old_database import Old
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


class Seen:
    """One snapshot of a database, beside the ledger of the same rows."""

    def __init__(
        self, old: Old, *, base: Ledger | None = None, certain: Iterable[Fed] = (), exact: bool = False
    ) -> None:
        """`certain` are rows that must be there, beside those of the history, in the order in which they were
        committed. `exact`: no figure may lack a row, whatever ranges are noted as touched."""
        url = old.url
        self.ledger = (base or old.all).copy()
        with psycopg.connect(url) as connection:
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            connection.execute("SET LOCAL statement_timeout = '60s'")

            def ask(question: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
                return connection.execute(question.encode(), parameters).fetchall()

            [(self.now, today)] = ask(
                "SELECT extract(epoch FROM now())::float8, (now() AT TIME ZONE time_zone)::date FROM installation"
            )
            self.today: date = today
            self.raw = [Fed(*row) for row in ask(RAW)]
            [(exists,)] = ask("SELECT to_regclass('touched_ranges') IS NOT NULL")
            self.touched = ask(TOUCHED) if exists else []
            self.quarters, self.days, self.records = ask(QUARTERS), ask(DAYS), ask(RECORDS)
            self.bins, self.outages = ask(BINS), ask(OUTAGES)
            [(migrated,)] = ask("SELECT to_regclass('episodes') IS NOT NULL")
            self.pending = bool(migrated and ask("SELECT FROM rollup_state WHERE legacy"))
            months = sql.query("uptime/months") if migrated else of_last_release("sql/queries/uptime/months.sql")
            self.calendars = {
                service: ask(months, {"start_date": None, "months": 3, "service_id": service, "internal": False})
                for service in (None, *PUBLIC)
            }
        self.before = old.before if self.pending else None
        self.arrived = list(certain)
        self._compare_raw([fed for fed in self.ledger.rows.values() if fed.at >= old.raw_from], self.arrived)
        self.ledger.add(self.raw)
        late = [fed for key, fed in self.ledger.rows.items() if key not in old.settled.rows]
        self.soft = [] if exact else [fed for fed in late if self._is_pending(fed)]

    def _is_pending(self, fed: Fed) -> bool:
        return any(low <= fed.at < high for low, high in self.touched)

    def _compare_raw(self, fed_before: Iterable[Fed], certain: Iterable[Fed]) -> None:
        raw = {fed.key: fed for fed in self.raw}
        assert len(raw) == len(self.raw), "a check is there twice"
        for fed in chain(fed_before, certain):
            assert raw.get(fed.key) == fed, f"{fed} is lost, or another: {raw.get(fed.key)}"


@dataclass
class Difference:
    """A figure that is not what it must be."""

    what: str
    key: Any
    expected: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.what} {self.key}: must be {self.expected}, is {self.found}"


def differences(seen: Seen) -> list[Difference]:
    """Every figure that is wrong in the snapshot."""
    ledger = seen.ledger
    lacking = _lacking(seen)
    found = _table(
        "checks_15m", {key: one.columns() for key, one in ledger.quarters.items()}, seen.quarters, 3, lacking
    )
    found += _table("service_days", ledger.of_services(), seen.days, 2, lacking)
    records = {key: _record(ledger, key) for key in ledger.of_services()}
    found += _table("uptime_records", records, seen.records, 2, lacking)
    found += _table("latency_daily", {key: (count,) for key, count in ledger.bins.items()}, seen.bins, 4, lacking)
    for service, rows in seen.calendars.items():
        found += _calendar(seen, service, rows)
    for service in SERVICES:
        found += _outages(seen, service)
    return found


def _lacking(seen: Seen) -> dict[Any, list[Fed]]:
    """Rows that a figure may still lack, by the keys of the tables they count in."""
    lacking: dict[Any, list[Fed]] = defaultdict(list)
    for fed in seen.soft:
        day = seen.ledger.day_of(fed.at)
        lacking[fed.service, fed.location, int(fed.at // 900) * 900].append(fed)
        lacking[fed.service, day].append(fed)
        lacking[fed.service, fed.location, day].append(fed)
    return lacking


def _table(
    what: str,
    expected: Mapping[Any, tuple[Any, ...]],
    rows: list[tuple[Any, ...]],
    width: int,
    lacking: dict[Any, list[Fed]],
) -> list[Difference]:
    """`rows` begin with `width` columns of key. None may be there twice, none may be missing."""
    found: dict[Any, tuple[Any, ...]] = {}
    wrong = []
    for row in rows:
        key = row[:width]
        if key in found:
            wrong.append(Difference(what, key, "one row", "two"))
        found[key] = row[width:]
    for key in expected.keys() | found.keys():
        must, does = expected.get(key), found.get(key)
        if must == does:
            continue
        late = lacking.get(key[:3] if width == 4 else key, [])
        if not (late and must is not None and _may_lack(must, does, len(late))):
            wrong.append(Difference(what, key, must, does))
    return wrong


def _may_lack(must: tuple[Any, ...], does: tuple[Any, ...] | None, late: int) -> bool:
    """Whether the figures could be those of all rows but some of the `late` ones."""
    if isinstance(must[0], str):
        return True  # a status, an uptime, a mean: of the sums, which are looked at themselves
    counts, have = _counts(must), _counts(does) if does is not None else [0]
    if len(have) < len(counts):
        return counts[0] <= late
    return all(low <= high for low, high in zip(have, counts, strict=True)) and counts[0] - late <= have[0]


def _counts(figures: tuple[Any, ...]) -> list[int]:
    """Its counts and seconds, the number of checks first."""
    first = 2 if isinstance(figures[0], datetime) else 0
    return [number for number in figures[first:] if isinstance(number, int)]


def _record(ledger: Ledger, key: tuple[str, date]) -> tuple[str, str, int | None]:
    several = [sums for (service, _, day), sums in ledger.days.items() if (service, day) == key]
    columns = added_up(several)
    good, total = columns[8], columns[9]
    assert isinstance(good, int)
    assert isinstance(total, float)
    status, uptime, _ = shown(several)
    return status, uptime, round(total / good) if good else None


def _calendar(seen: Seen, service: str | None, rows: list[tuple[Any, ...]]) -> list[Difference]:
    expected = seen.ledger.calendar(service)
    soft = {seen.ledger.day_of(fed.at) for fed in seen.soft if service in (None, fed.service)}
    wrong = []
    if len({row[:2] for row in rows}) != len(rows):
        wrong.append(Difference("months", service, "each day once", rows))
    for month, day, status, uptime, checks, *_ in rows:
        if day in soft or (day is None and any(one.replace(day=1) == month for one in soft)):
            continue
        absent = "e" if (day or month) > seen.today else "nd"
        must = expected.get((month, day), (absent, "-", 0))
        if (status, uptime, checks) != must:
            wrong.append(Difference("months", (service, month, day), must, (status, uptime, checks)))
    return wrong


def _outages(seen: Seen, service: str) -> list[Difference]:
    must = seen.ledger.outages(service, seen.now)
    does = [Span(*row[1:]) for row in seen.outages if row[0] == service]
    for number in range(max(len(must), len(does))):
        one, other = (spans[number] if number < len(spans) else None for spans in (must, does))
        if one is None or other is None or one[:2] != other[:2] or (one.error not in (None, other.error)):
            if service != "live" and seen.before is not None and _may_be(does, _known(seen, seen.before, service)):
                return []
            return [Difference("outages", (service, number), one, other)]
    return []


def _known(seen: Seen, before: Ledger, service: str) -> list[list[Span]]:
    """The outages of a service after each commit since just before migrate(). On a busy machine a prober commits many
    rows while migrate() is at work, and what it leaves to be derived later stays as it was after any of them."""
    rows = {fed.key: fed for fed in before.rows.values() if fed.service == service}
    known = [story(rows.values(), seen.now)]
    for fed in seen.arrived:
        if fed.service == service and fed.key not in rows:
            rows[fed.key] = fed
            known.append(story(rows.values(), seen.now))
    return [*known, seen.ledger.outages(service, seen.now)]


def _may_be(does: list[Span], known: list[list[Span]]) -> bool:
    """Whether the outages could be those of one moment here and of another there: what is in all of them is there,
    every other one begins and ends as one of them does, and none overlaps another."""
    common = set.intersection(*({span[:2] for span in spans} for spans in known))
    starts = {span.started for spans in known for span in spans}
    ends = {span.ended for spans in known for span in spans}
    apart = all(one.ended is not None and one.ended < other.started for one, other in pairwise(does))
    found = {span[:2] for span in does}
    return apart and common <= found and all(start in starts and end in ends for start, end in found)
