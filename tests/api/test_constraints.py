"""A violated constraint of the database is an error of its field, in every resource."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import Api, create_user
from tests.api.incidents import OUTAGE
from tests.api.people import Db

TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
SERVICE = {"id": "shop", "name": "Shop", "endpointUrl": "http://shop.example/", "group": "refused"}
TEMPLATE = {"name": "refused", "data": {"title": "Down", "severity": "low", "priority": "P3", "affectedServices": []}}
WINDOW = {
    "title": "refused",
    "affectedServices": ["vault"],
    "startsAt": TOMORROW.isoformat(),
    "endsAt": (TOMORROW + timedelta(hours=1)).isoformat(),
}
CORRECTION = {
    "scope": "everything",
    "effect": "excluded",
    "category": "other",
    "reason": "refused",
    "startsAt": "2026-01-02T10:00:00Z",
    "endsAt": "2026-01-02T10:05:00Z",
}
USER = {"username": "refused", "email": "kim@example.com", "role": "viewer"}


@pytest.mark.parametrize(
    ("path", "body", "table", "column", "field"),
    [
        ("/api/services", SERVICE, "services", "group_name", "group"),
        (
            "/api/incidents",
            OUTAGE | {"detectionCriteria": "refused"},
            "incidents",
            "detection_criteria",
            "detectionCriteria",
        ),
        ("/api/templates", TEMPLATE, "templates", "name", "name"),
        ("/api/maintenance", WINDOW, "maintenance_windows", "title", "title"),
        ("/api/sla/corrections", CORRECTION, "sla_corrections", "reason", "reason"),
        ("/api/users", USER, "users", "username", "username"),
        ("/api/tokens", {"name": "refused", "role": "viewer"}, "api_tokens", "name", "name"),
    ],
)
async def test_a_check_constraint_is_an_error_of_its_field(
    api: Api, db: Db, path: str, body: dict[str, Any], table: str, column: str, field: str
) -> None:
    admin = await create_user(db, "admin")
    vault = {"id": "vault", "name": "Vault", "endpointUrl": "http://vault.example/"}
    await api.http.post("/api/services", json=vault, headers=admin.headers)
    name = f"{table}_{column}"
    await db.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}".encode())
    await db.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({column} <> 'refused')".encode())
    response = await api.http.post(path, json=body, headers=admin.headers)
    assert (response.status_code, response.json()["details"]) == (
        400,
        [{"field": field, "message": "cannot be stored", "code": "not_storable"}],
    )
