"""Creates maintenance windows over REST."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.api.conftest import Api, User

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def body(starts: datetime, length: timedelta = 2 * HOUR, **fields: Any) -> dict[str, Any]:
    return {
        "title": "New disks",
        "affectedServices": ["shop"],
        "startsAt": iso(starts),
        "endsAt": iso(starts + length),
    } | fields


async def create_window(api: Api, user: User, planned: dict[str, Any]) -> Any:
    response = await api.http.post("/api/maintenance", json=planned, headers=user.headers)
    assert response.status_code == 201, response.text
    return response.json()["maintenance"]
