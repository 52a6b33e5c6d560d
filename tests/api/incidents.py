"""Creates and changes incidents over REST, and reads their events."""

from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg

from tests.api.conftest import Api, User, until

Db = psycopg.AsyncConnection[Any]
OUTAGE: dict[str, Any] = {"title": "Down", "severity": "high", "priority": "P1", "affectedServices": []}


async def create(api: Api, user: User, **fields: Any) -> Any:
    """Creates an incident and returns it as in the response."""
    response = await api.http.post("/api/incidents", json=OUTAGE | fields, headers=user.headers)
    assert response.status_code == 201, response.text
    return response.json()["incident"]


async def get_incident(api: Api, user: User, incident_id: str) -> Any:
    """Returns an incident as this user sees it."""
    return (await api.get(f"/api/incidents/{incident_id}", headers=user.headers))["incident"]


async def add_update(api: Api, user: User, incident_id: str, status: str, description: str = "news") -> Any:
    """Adds an update to the timeline and returns it."""
    body = {"status": status, "description": description}
    response = await api.http.post(f"/api/incidents/{incident_id}/updates", json=body, headers=user.headers)
    assert response.status_code == 201, response.text
    return response.json()["update"]


async def change(api: Api, user: User, incident_id: str, if_match: str | None = None, **fields: Any) -> httpx.Response:
    headers = user.headers if if_match is None else user.headers | {"If-Match": if_match}
    return await api.http.put(f"/api/incidents/{incident_id}", json=fields, headers=headers)


async def incident_events(db: Db) -> list[tuple[str, str | None, Any]]:
    """Returns the events of incidents in order: event, room, data."""
    cursor = await db.execute("SELECT event, room, data FROM events WHERE event <> 'uptime-updated' ORDER BY seq")
    return await cursor.fetchall()


def without_names(incident: Any) -> Any:
    """Returns the incident as anonymous clients see it, if only the names of users are hidden from them."""
    updates = [update | {"author": None} for update in incident["updates"]]
    reporter = None if incident["reporter"] == incident["author"] else incident["reporter"]
    return incident | {"author": None, "reporter": reporter, "updates": updates}


async def public_incident(api: Api, incident_id: str, version: int) -> Any:
    """Returns this version as anonymous clients see it. Waits for the response cache, which is invalidated by an
    event."""
    found: list[Any] = []

    async def is_current() -> bool:
        found.append((await api.get(f"/api/incidents/{incident_id}"))["incident"])
        return bool(found[-1]["version"] == version)

    await until(is_current)
    return found[-1]


async def import_incidents(db: Db, count: int) -> None:
    """Inserts incidents of 2020, one second apart, without the triggers of new incidents."""
    async with db.transaction():
        await db.execute("ALTER TABLE incidents DISABLE TRIGGER USER")
        await db.execute(
            "INSERT INTO incidents (id, title, severity, priority, author, created_at) "
            "SELECT format('INC-2020-%%s', 100000 + n), 'Old ' || n, 'low', 'P3', 'importer', "
            "timestamptz '2020-01-01 12:00Z' + make_interval(secs => n) FROM generate_series(1, %s) AS n",
            [count],
        )
        await db.execute("ALTER TABLE incidents ENABLE TRIGGER USER")


def error_fields(response: httpx.Response) -> list[str]:
    """Returns the fields that a response with status 400 names."""
    assert response.status_code == 400, response.text
    assert response.json()["code"] == "VALIDATION_ERROR"
    return [problem["field"] for problem in response.json()["details"]]


def year() -> int:
    return datetime.now(UTC).year
