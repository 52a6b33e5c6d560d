"""Incidents for the tests: made over REST by somebody, and what the feed was told of them."""

from typing import Any

import httpx
import psycopg

from tests.api.conftest import Api, Someone, until

Db = psycopg.AsyncConnection[Any]
OUTAGE: dict[str, Any] = {"title": "Down", "severity": "high", "priority": "P1", "affectedServices": []}


async def create(api: Api, who: Someone, **fields: Any) -> Any:
    """The incident as the answer shows it."""
    answer = await api.http.post("/api/incidents", json=OUTAGE | fields, headers=who.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()["incident"]


async def say(api: Api, who: Someone, incident_id: str, status: str, description: str = "news") -> Any:
    """Adds to the timeline."""
    body = {"status": status, "description": description}
    answer = await api.http.post(f"/api/incidents/{incident_id}/updates", json=body, headers=who.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()["update"]


async def change(
    api: Api, who: Someone, incident_id: str, if_match: str | None = None, **fields: Any
) -> httpx.Response:
    headers = who.headers if if_match is None else who.headers | {"If-Match": if_match}
    return await api.http.put(f"/api/incidents/{incident_id}", json=fields, headers=headers)


async def told(db: Db) -> list[tuple[str, str | None, Any]]:
    """What the feed was told of incidents, in order: event, room, data."""
    cursor = await db.execute("SELECT event, room, data FROM events WHERE event <> 'uptime-updated' ORDER BY seq")
    return await cursor.fetchall()


def unnamed(incident: Any) -> Any:
    """The incident as those outside see it, where nothing of it but the names of users is hidden from them."""
    updates = [update | {"author": None} for update in incident["updates"]]
    reporter = None if incident["reporter"] == incident["author"] else incident["reporter"]
    return incident | {"author": None, "reporter": reporter, "updates": updates}


async def outside(api: Api, incident_id: str, version: int) -> Any:
    """This version as those outside see it: they are answered from memory, which hears of it a moment later."""
    seen: list[Any] = []

    async def arrived() -> bool:
        seen.append((await api.get(f"/api/incidents/{incident_id}"))["incident"])
        return bool(seen[-1]["version"] == version)

    await until(arrived)
    return seen[-1]


async def bring_in(db: Db, count: int) -> None:
    """Incidents of years ago, a second after one another, without all that is done for a new one."""
    async with db.transaction():
        await db.execute("ALTER TABLE incidents DISABLE TRIGGER USER")
        await db.execute(
            "INSERT INTO incidents (id, title, severity, priority, author, created_at) "
            "SELECT format('INC-2020-%%s', 100000 + n), 'Old ' || n, 'low', 'P3', 'somebody', "
            "timestamptz '2020-01-01 12:00Z' + make_interval(secs => n) FROM generate_series(1, %s) AS n",
            [count],
        )
        await db.execute("ALTER TABLE incidents ENABLE TRIGGER USER")


def fields(answer: httpx.Response) -> list[str]:
    """Which fields a 400 names."""
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "VALIDATION_ERROR"
    return [problem["field"] for problem in answer.json()["details"]]
