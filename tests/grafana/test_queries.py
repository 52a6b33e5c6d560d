"""The query of every panel and variable returns rows, with the rights of analysts, on both engines."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import psycopg
import pytest

from tests.grafana.dashboards import expanded, panels, variables
from tests.grafana.history import fill
from tests.sql.batches import Connection, now

LIMIT_S = 1.0
"""The time in which each query must be complete at 1,000 services."""


@asynccontextmanager
async def analyst(db: Connection) -> AsyncIterator[None]:
    """Sets the role sla_analyst, which the migration has created."""
    await db.execute("SET ROLE sla_analyst")
    yield
    await db.execute("RESET ROLE")


async def problems(db: Connection, limit_s: float | None = None) -> tuple[list[str], list[str]]:
    """Runs all queries. Returns the problems, and the duration of each query. `limit_s`: of the second execution,
    because the first one reads the data from the disk."""
    found, durations, high = [], [], now()
    values: dict[str, dict[str, str]] = {}
    for board, listed in variables().items():
        values[board] = {}
        for name, query in listed.items():
            began = time.perf_counter()
            rows = await (await db.execute(query.encode())).fetchall()
            durations.append(f"{time.perf_counter() - began:.3f} s  {board} / variable {name}")
            if not rows:
                found.append(f"{board} / variable {name}: no value")
            else:
                values[board][name] = str(rows[0][-1])
    for panel in panels():
        query = expanded(panel.query, high - panel.range, high, panel.step, values[panel.dashboard])
        for _ in range(1 if limit_s is None else 2):
            began = time.perf_counter()
            try:
                cursor = await db.execute(query.encode())
            except psycopg.Error as error:
                found.append(f"{panel.label}: {error}")
                break
            rows = await cursor.fetchall()
            duration = time.perf_counter() - began
        else:
            durations.append(f"{duration:.3f} s  {panel.label}")
            columns = [column.name for column in cursor.description or ()]
            if not any(value is not None for one in rows for value in one):
                found.append(f"{panel.label}: no rows")
            if limit_s is not None and duration > limit_s:
                found.append(f"{panel.label}: {duration:.2f} s")
            if panel.form == "time_series":
                found += _series_problems(panel.label, columns, rows)
            elif missing := panel.columns - set(columns):
                found.append(f"{panel.label}: no columns {missing}")
    return found, durations


def _series_problems(label: str, columns: list[str], rows: list[tuple[object, ...]]) -> list[str]:
    """What Grafana refuses in time series: no time, rows that are not in its order, and two values for one series and
    moment."""
    if columns[0] != "time":
        return [f"{label}: the first column is not the time"]
    times = [one[0] for one in rows]
    keys = [one[: 2 if "metric" in columns else 1] for one in rows]
    found = [] if times == sorted(times) else [f"{label}: the rows are not in the order of time"]  # type: ignore[type-var]
    return found + ([] if len(set(keys)) == len(keys) else [f"{label}: two values for one moment"])


async def test_every_query_returns_rows_to_an_analyst(db: Connection) -> None:
    await fill(db, services=3, days=2)
    async with analyst(db):
        found, _ = await problems(db)
    assert found == []


@pytest.mark.campaign
async def test_every_query_is_fast_with_1000_services(db: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    await fill(db, services=int(os.environ.get("GRAFANA_SERVICES", "1000")), days=30)
    async with analyst(db):
        found, durations = await problems(db, LIMIT_S)
    with capsys.disabled():
        print("", *sorted(durations, reverse=True), sep="\n")
    assert found == []


async def test_a_range_without_data_is_no_error(db: Connection) -> None:
    """A dashboard of an empty installation shows no errors. Variables have no value then."""
    high = now() - timedelta(days=3650)
    await fill(db, services=1, days=2)
    async with analyst(db):
        for panel in panels():
            query = expanded(
                panel.query, high - panel.range, high, panel.step, {"service": "o'neill", "month": "2016-01"}
            )
            await db.execute(query.encode())
