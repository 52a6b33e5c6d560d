"""Each query of the section "Questions in SQL" of the README, run as an analyst."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.sql.batches import MINUTE, Connection, connected, fetch, record, row
from tests.sql.logins import login

README = Path(__file__).parents[2] / "README.md"
QUESTION = re.compile(r"^([A-Z][^\n`]+\?)\n\n```sql\n(.+?);\n```$", re.MULTILINE | re.DOTALL)
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
TODAY = NOW.replace(hour=0)
THIS_MONTH = TODAY.replace(day=1)
LAST_MONTH = (THIS_MONTH - timedelta(days=1)).replace(day=1)


def questions() -> dict[str, str]:
    """The questions of the README with their queries."""
    _, _, section = README.read_text("utf-8").partition("### Questions in SQL\n")
    return dict(QUESTION.findall(section.partition("\n## ")[0]))


@pytest.fixture
async def answers(db: Connection, database: str) -> AsyncIterator[dict[str, list[Any]]]:
    """The results of the queries as an analyst. `docs` has hourly checks since the start of last month, of which the
    first ten fail, and one of yesterday is slow. Maintenance of an hour was announced when it began."""
    await db.execute("INSERT INTO services (id, name, endpoint_url) VALUES ('docs', 'Docs', 'http://target/')")
    await db.execute(
        "WITH policy AS (INSERT INTO sla_policies (scope, subject) VALUES ('service', 'docs') RETURNING id) "
        "INSERT INTO sla_policy_versions (policy_id, version, valid_from, name, target, time_zone, author, "
        "                                 announced_minutes) "
        "SELECT id, 1, '2020-01-01', 'Docs', 99.9, 'UTC', 'ann', 1440 FROM policy"
    )
    slow = TODAY - timedelta(hours=3)
    hours = int((max(NOW, THIS_MONTH + timedelta(hours=1)) - LAST_MONTH) / timedelta(hours=1))
    times = [LAST_MONTH + n * timedelta(hours=1) for n in range(hours)]
    checks = [row(at, service="docs", interval_seconds=3600) for at in times]
    checks[:10] = [row(at, "mo", service="docs", interval_seconds=3600) for at in times[:10]]
    checks[times.index(slow)] = checks[-1]._replace(scheduled_at=slow, finished_at=slow, total_ms=900.0)
    await record(db, checks)
    await db.execute(
        "WITH planned AS ("
        "    INSERT INTO maintenance_windows (title, affected_services, starts_at, ends_at, time_zone, author) "
        "    VALUES ('Disks', '{docs}', %(at)s, %(at)s + interval '1 hour', 'UTC', 'ann') RETURNING id) "
        "INSERT INTO maintenance_occurrences SELECT id, %(at)s, %(at)s + interval '1 hour', '{docs}' FROM planned",
        {"at": LAST_MONTH + timedelta(days=2)},
    )
    await db.execute(
        "UPDATE maintenance_announcements SET announced_at = %s", [LAST_MONTH + timedelta(days=2) - 30 * MINUTE]
    )
    async with login(database, "sla_analyst") as url, connected(url) as analyst:
        await analyst.execute("SET search_path = analytics")
        yield {question: await fetch(analyst, query) for question, query in questions().items()}


async def test_the_answers_are_those_of_the_data(answers: dict[str, list[Any]]) -> None:
    assert len(answers) == 5
    met, worst, slow, budget, maintenance = answers.values()
    seconds = (THIS_MONTH - LAST_MONTH).total_seconds()
    assert met == [
        ("Docs", round(Decimal(100 - 100 * 36000 / seconds), 3), Decimal("99.9000"), "missed", Decimal("100.0"))
    ]
    assert worst == [("docs", LAST_MONTH, 600, "timeout")]
    assert [p95 for _, _, _, p95 in slow if p95 != 120] == [900]
    assert len(slow) == 24
    month = ((THIS_MONTH + timedelta(days=32)).replace(day=1) - THIS_MONTH).total_seconds()
    [(name, budget_minutes, left_minutes, _)] = budget
    assert (name, budget_minutes) == ("Docs", round(Decimal(month / 60000), 1))
    assert left_minutes == budget_minutes
    assert maintenance == [("docs", "Disks", LAST_MONTH + timedelta(days=2), 30, 1440)]
