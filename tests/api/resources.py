"""Valid request bodies for every route, and resources for the parameters of paths: own, foreign and missing ones."""

import re
import secrets
from typing import Any, Literal
from uuid import uuid4

from tests.api.coming import coming_day
from tests.api.conftest import Api, add_service, create_user
from tests.api.people import Db, Principal
from tests.api.published import Row

Whose = Literal["own", "foreign", "missing"]
INCIDENT = {"title": "Down", "severity": "high", "priority": "P1", "affectedServices": ["shop"]}
TEMPLATE = {"data": {"title": "Down", "severity": "high", "priority": "P1", "affectedServices": ["shop"]}}
WINDOW = {
    "title": "New disks",
    "affectedServices": ["shop"],
    "startsAt": f"{coming_day()}T00:00:00Z",
    "endsAt": f"{coming_day()}T01:00:00Z",
}
CORRECTION = {
    "scope": "service",
    "subject": "shop",
    "effect": "up",
    "category": "false_positive",
    "reason": "The proxy of the prober failed",
    "startsAt": "2026-01-02T10:00:00Z",
    "endsAt": "2026-01-02T10:05:00Z",
}
REPORT: dict[str, Any] = {}
"""A report of the present month."""
POLICY: dict[str, Any] = {"name": "Standard", "target": 99.9}
ABSENT: dict[str, str] = {"incident_id": "INC-1999-0001", "comment_id": "999999999"}
"""Ids of resources that do not exist. Ids of services are new ones, since repeated requests of one response are
delayed. Other parameters are UUIDs."""


def body(row: Row) -> dict[str, Any] | None:
    """Returns a valid body, so that the status of the response depends on permissions only."""
    name = f"resource-{secrets.token_hex(4)}"
    match row.method, row.path:
        case "POST", "/api/services":
            return {"id": name, "name": name, "endpointUrl": "http://127.0.0.1:9/"}
        case "PATCH", "/api/services/{service_id}":
            return {"description": name}
        case "POST", "/api/services/{service_id}/heartbeat/key":
            return None  # the route has no body
        case "POST", "/api/incidents":
            return INCIDENT
        case "PUT", "/api/incidents/{incident_id}":
            return {"description": name}
        case "POST", "/api/incidents/{incident_id}/updates":
            return {"status": "monitoring", "description": name}
        case "POST", "/api/incidents/{incident_id}/comments":
            return {"text": name}
        case "PUT", "/api/incidents/{incident_id}/draft":
            return {"data": {"title": name}}
        case "POST", "/api/templates":
            return {"name": name, **TEMPLATE}
        case "PUT", "/api/templates/{template_id}":
            return {"description": name}
        case "POST", "/api/maintenance":
            return WINDOW
        case "PUT", "/api/maintenance/{window_id}":
            return {"description": name}
        case "POST", "/api/sla/simulate":
            return {"services": ["shop"], "policy": {"scope": "service", "subject": "shop", **POLICY}}
        case "POST", "/api/sla/corrections":
            return CORRECTION
        case "POST", "/api/sla/corrections/{correction_id}/withdraw":
            return None  # the route has no body
        case "POST", "/api/sla/policies":
            return {"scope": "tag", "subject": name, **POLICY}
        case "PUT", "/api/sla/policies/{policy_id}":
            return {"name": name}
        case "POST", "/api/sla/reports":
            return REPORT
        case "PUT", "/api/sla/holidays/{calendar_name}":
            return {"days": [{"day": "2026-12-25", "name": "Christmas"}]}
        case "POST", "/api/users":
            return {
                "username": name,
                "email": f"{name}@example.com",
                "password": secrets.token_urlsafe(),
                "role": "viewer",
            }
        case "PATCH", "/api/users/{user_id}":
            return {"email": f"{name}@example.com"}
        case "POST", "/api/tokens":
            return {"name": name, "role": "viewer"}
    return None if row.method in ("GET", "HEAD", "DELETE") else {}


class Resources:
    """Creates the resources that the paths of routes refer to."""

    def __init__(self, api: Api, db: Db, other: Principal) -> None:
        self._api = api
        self._db = db
        self._other = other

    async def path(self, row: Row, whose: Whose, principal: Principal) -> str:
        """Returns the path of `row` to a resource of `principal`, of another user, or to one that does not exist."""
        names = re.findall(r"{(\w+)}", row.path)
        path = row.path
        for name in names:
            if whose == "missing" and name == names[-1]:
                resource = ABSENT.get(name, f"s{secrets.token_hex(8)}" if name == "service_id" else str(uuid4()))
            else:
                kind = "heartbeat" if name == "service_id" and "/heartbeat" in row.path else name
                resource = await self._create(
                    kind, path.partition("/{")[0], principal if whose == "own" else self._other
                )
            path = path.replace(f"{{{name}}}", resource)
        return path

    async def _create(self, name: str, collection: str, owner: Principal) -> str:
        match name:
            case "incident_id":
                return str((await self._post(collection, INCIDENT, owner))["incident"]["id"])
            case "comment_id":
                return str((await self._post(collection, {"text": "x"}, owner))["comment"]["id"])
            case "template_id":
                new = {"name": secrets.token_hex(4), **TEMPLATE}
                return str((await self._post(collection, new, owner))["data"]["id"])
            case "window_id":
                return str((await self._post(collection, WINDOW, owner))["maintenance"]["id"])
            case "correction_id":
                return str((await self._post(collection, CORRECTION, owner))["correction"]["id"])
            case "policy_id":
                new = {"scope": "tag", "subject": secrets.token_hex(4), **POLICY}
                return str((await self._post(collection, new, owner))["policy"]["id"])
            case "report_id":
                return str((await self._post(collection, REPORT, owner))["report"]["id"])
            case "calendar_name":
                await self._db.execute("INSERT INTO holiday_calendars VALUES (%s)", [created := secrets.token_hex(4)])
                return created
            case "token_id":
                return await self._token(owner)
            case "user_id":
                return str(
                    owner.user_id if owner is not self._other else (await create_user(self._db, "admin")).user_id
                )
            case "service_id":
                await add_service(self._db, created := f"service-{secrets.token_hex(4)}")
                if collection == "/api/sla/services":  # it has figures with a policy only
                    policy = {"scope": "service", "subject": created, "validFrom": "2000-01-01", **POLICY}
                    await self._post("/api/sla/policies", policy, self._other)
                return created
            case "heartbeat" | "key":
                created = f"job-{secrets.token_hex(4)}"
                await self._db.execute(
                    'INSERT INTO services (id, name, check_config) VALUES (%s, %s, \'{"type": "heartbeat"}\')',
                    [created, created],
                )
                cursor = await self._db.execute("SELECT key FROM heartbeats WHERE service_id = %s", [created])
                [(key,)] = await cursor.fetchall()
                return created if name == "heartbeat" else str(key)
            case "event":
                return "start"
            case "name":
                return "docs.js"
        raise AssertionError(f"no resource for the path parameter {name}")

    async def _post(self, collection: str, new: dict[str, Any], owner: Principal) -> Any:
        """Creates a resource over REST. The owner has the role admin during the request, because a viewer can own only
        resources from a time when it had a higher role."""
        assert owner.owner is not None
        cursor = await self._db.execute("SELECT role FROM users WHERE id = %s", [owner.user_id])
        [(role,)] = await cursor.fetchall()
        await self._db.execute("UPDATE users SET role = 'admin' WHERE id = %s", [owner.user_id])
        response = await self._api.http.post(collection, json=new, headers=owner.owner.headers)
        assert response.status_code == 201, response.text
        await self._db.execute("UPDATE users SET role = %s WHERE id = %s", [role, owner.user_id])
        return response.json()

    async def _token(self, owner: Principal) -> str:
        cursor = await self._db.execute(
            "INSERT INTO api_tokens (owner_id, name, role, token_hash) VALUES (%s, %s, 'viewer', %s) RETURNING id",
            [owner.user_id, secrets.token_hex(4), secrets.token_bytes(32)],
        )
        [(token_id,)] = await cursor.fetchall()
        return str(token_id)
