"""The API works as a user with the role sla_api only."""

from datetime import timedelta
from typing import Any

import psycopg

from tests.api.conftest import Check, add_service, create_user, now, record, running_api
from tests.sql.logins import login

READS = (
    *("/", "/uptime", "/services/web", "/history", "/feed.atom", "/metrics", "/badges/web/status.svg"),
    *("/api/system-status", "/api/uptime/all-systems", "/api/uptime/web", "/api/response-times/web"),
    *("/api/services", "/api/services/web", "/api/incidents", "/api/incidents/past", "/api/maintenance"),
    *("/api/templates", "/api/users", "/api/tokens", "/api/audit", "/api/drafts", "/api/sla/policies"),
    *("/api/sla/holidays", "/api/sla/corrections", "/api/sla/services/web"),
)


async def test_it_reads_and_writes_every_resource(database: str, db: psycopg.AsyncConnection[Any]) -> None:
    await add_service(db, "web")
    await record(db, [Check("web", now())])
    admin = await create_user(db, "admin")
    async with login(database, "sla_api") as url, running_api(url) as api:
        api.http.headers.update(admin.headers)

        async def write(method: str, path: str, body: dict[str, Any] | None = None, **options: Any) -> Any:
            response = await api.http.request(method, path, json=body, **options)
            assert response.status_code in (200, 201, 204), f"{method} {path}: {response.text}"
            return response.json() if response.content else None

        await write("POST", "/api/services", {"id": "job", "name": "Job", "type": "heartbeat"})
        heartbeat = await api.get("/api/services/job/heartbeat")
        assert (await api.http.get(f"/ping/{heartbeat['pingKey']}")).status_code == 200
        await write("POST", "/api/services", {"id": "shop", "name": "Shop", "endpointUrl": "http://shop.example/"})
        await write("PATCH", "/api/services/shop", {"enabled": False})
        await write("DELETE", "/api/services/shop")
        incident = {"title": "Slow", "severity": "high", "priority": "P2", "affectedServices": ["web"]}
        created = await write("POST", "/api/incidents", incident)
        path = f"/api/incidents/{created['incident']['id']}"
        await write("POST", f"{path}/updates", {"status": "identified", "description": "A full disk"})
        await write("POST", f"{path}/comments", {"text": "internal"})
        window = {
            "title": "Disks",
            "affectedServices": ["web"],
            "startsAt": (now() - timedelta(hours=1)).isoformat(),
            "endsAt": (now() + timedelta(hours=1)).isoformat(),
        }
        await write("POST", "/api/maintenance", window)
        policy = {"scope": "everything", "name": "All", "target": 99.9, "validFrom": "2020-01-01"}
        await write("POST", "/api/sla/policies", policy)
        await write("POST", "/api/tokens", {"name": "ci", "role": "viewer"})
        for path in READS:
            response = await api.http.get(path)
            assert response.status_code == 200, f"{path}: {response.text}"
        assert (await api.get("/api/incidents"))["incidents"]
