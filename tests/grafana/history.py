"""A database with something to show in every panel, recorded as the product records it."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from psycopg.types.json import Jsonb

from tests.sql.batches import DAY, MINUTE, Connection, Row, add_locations, now, record, row

LOCATIONS = ("fra-1", "seoul")
EVERY = timedelta(minutes=5)
EVERY_BEFORE = timedelta(hours=4)
BATCH = 20_000


async def fill(db: Connection, *, services: int, days: int) -> None:
    """Services with checks from two locations: every five minutes over the last day, every four hours before. Each one
    has failures and slow checks; the first one fails now, the last one has been silent for an hour. There are groups,
    policies, a correction, maintenance and an incident."""
    await db.execute("SET statement_timeout = '10min'")
    await add_locations(db, *LOCATIONS)
    ids = [f"service-{n:04}" for n in range(services)]
    await db.execute(
        "INSERT INTO services (id, name, endpoint_url, public, interval_seconds, group_name, tags) "
        "SELECT id, 'Service ' || n, 'http://target/', true, 300, 'Group ' || n %% 20, ARRAY['tag-' || n %% 3] "
        "FROM unnest(%s::text[]) WITH ORDINALITY AS listed (id, n)",
        [ids],
    )
    await _add_policies(db)
    latest = now().replace(second=0) - MINUTE
    batch: list[Row] = []
    for one in _checks(ids, latest, days):
        batch.append(one)
        if len(batch) == BATCH:
            await record(db, batch)
            await db.execute("CALL fold_checks()")
            batch = []
    await record(db, batch)
    await db.execute("CALL fold_checks()")
    await _add_events(db, ids, latest)
    await db.execute("VACUUM ANALYZE")
    await db.execute("SET statement_timeout = '30s'")


def _checks(ids: list[str], latest: datetime, days: int) -> Iterator[Row]:
    """The checks in the order of time, as probers record them."""
    before = [(latest - DAY - n * EVERY_BEFORE, 14_400) for n in range(1, (days - 1) * 6)][::-1]
    recent = [(latest - n * EVERY, 300) for n in range(288)][::-1]
    for number, (at, seconds) in enumerate([*before, *recent]):
        for n, service in enumerate(ids):
            silent = n == len(ids) - 1 and at > latest - timedelta(hours=1)
            if silent:
                continue
            fails = (number + 7 * n) % 41 == 0 or (n == 0 and at >= latest - 2 * EVERY)
            severity = "mo" if fails else "po" if (number + n) % 13 == 0 else "o"
            for location in LOCATIONS:
                yield row(at, severity, service=service, location=location, interval_seconds=seconds)


async def _add_policies(db: Connection) -> None:
    terms = (
        "INSERT INTO sla_policy_versions (policy_id, version, valid_from, name, target, time_zone, author, "
        "objective_ms, objective_share, credits) "
        "SELECT id, 1, '2020-01-01', %s, %s, 'UTC', 'ann', 500, 95, %s FROM policy"
    )
    for scope, subject, name, target in (("everything", None, "Standard", 99.5), ("tag", "tag-1", "Gold", 99.9)):
        created = "WITH policy AS (INSERT INTO sla_policies (scope, subject) VALUES (%s, %s) RETURNING id) "
        values = [scope, subject, name, target, Jsonb([{"below": target, "credit": 10}])]
        await db.execute((created + terms).encode(), values)


async def _add_events(db: Connection, ids: list[str], latest: datetime) -> None:
    """A correction, an occurrence of maintenance, and an incident, for the first service and the last hours."""
    start = latest - timedelta(hours=3)
    end = start + timedelta(hours=1)
    await db.execute(
        "WITH correction AS (INSERT INTO sla_corrections "
        "    (scope, subject, effect, category, reason, starts_at, ends_at, time_zone, author) VALUES "
        "    ('service', %(id)s, 'up', 'false_positive', 'a test', %(start)s, now(), 'UTC', 'ann') RETURNING id) "
        "INSERT INTO sla_correction_spans SELECT id, tstzrange(%(start)s, now()) FROM correction",
        {"id": ids[0], "start": start},
    )
    await db.execute(
        "WITH planned AS ("
        "    INSERT INTO maintenance_windows (title, time_zone, starts_at, ends_at, affected_services, author) "
        "    VALUES ('Upgrade', 'UTC', %(start)s, %(end)s, %(ids)s, 'ann') RETURNING id) "
        "INSERT INTO maintenance_occurrences (window_id, starts_at, ends_at, service_ids) "
        "SELECT id, %(start)s, %(end)s, %(ids)s FROM planned",
        {"ids": ids[:1], "start": start, "end": end},
    )
    await db.execute(
        "INSERT INTO incidents (id, title, status, severity, priority, author, created_at) "
        "VALUES ('INC-2026-0001', 'Slow', 'investigating', 'high', 'P1', 'ann', %s)",
        [start],
    )
