"""What the routes of the matrix are asked with, and what they lead to: one's own things, others', and none."""

import re
import secrets
from typing import Any, Literal
from uuid import uuid4

from tests.api.coming import coming_day
from tests.api.conftest import Api, add_service, someone
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
ABSENT: dict[str, str] = {"service_id": "nothing", "incident_id": "INC-1999-0001", "comment_id": "999999999"}
"""Ids of nothing; the others are UUIDs."""


def body(row: Row) -> dict[str, Any] | None:
    """One that is valid, so that an answer tells of a permission and of nothing else."""
    name = f"thing-{secrets.token_hex(4)}"
    match row.method, row.path:
        case "POST", "/api/services":
            return {"id": name, "name": name, "endpointUrl": "http://127.0.0.1:9/"}
        case "PATCH", "/api/services/{service_id}":
            return {"description": name}
        case "POST", "/api/services/{service_id}/heartbeat/key":
            return None  # it takes none
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


class Things:
    """What the paths of the matrix lead to."""

    def __init__(self, api: Api, db: Db, stranger: Principal) -> None:
        self._api = api
        self._db = db
        self._stranger = stranger

    async def path(self, row: Row, whose: Whose, asker: Principal) -> str:
        """The path of `row` to something that the asker made, or somebody else, or nobody."""
        names = re.findall(r"{(\w+)}", row.path)
        path = row.path
        for name in names:
            if whose == "missing" and name == names[-1]:
                thing = ABSENT.get(name, str(uuid4()))
            else:
                kind = "heartbeat" if name == "service_id" and "/heartbeat" in row.path else name
                thing = await self._make(kind, path.partition("/{")[0], asker if whose == "own" else self._stranger)
            path = path.replace(f"{{{name}}}", thing)
        return path

    async def _make(self, name: str, collection: str, maker: Principal) -> str:
        match name:
            case "incident_id":
                return str((await self._post(collection, INCIDENT, maker))["incident"]["id"])
            case "comment_id":
                return str((await self._post(collection, {"text": "x"}, maker))["comment"]["id"])
            case "template_id":
                new = {"name": secrets.token_hex(4), **TEMPLATE}
                return str((await self._post(collection, new, maker))["data"]["id"])
            case "window_id":
                return str((await self._post(collection, WINDOW, maker))["maintenance"]["id"])
            case "token_id":
                return await self._token(maker)
            case "user_id":
                return str(maker.user_id if maker is not self._stranger else (await someone(self._db, "admin")).user_id)
            case "service_id":
                await add_service(self._db, made := f"service-{secrets.token_hex(4)}")
                return made
            case "heartbeat" | "key":
                made = f"job-{secrets.token_hex(4)}"
                await self._db.execute(
                    'INSERT INTO services (id, name, check_config) VALUES (%s, %s, \'{"type": "heartbeat"}\')',
                    [made, made],
                )
                cursor = await self._db.execute("SELECT key FROM heartbeats WHERE service_id = %s", [made])
                [(key,)] = await cursor.fetchall()
                return made if name == "heartbeat" else str(key)
            case "event":
                return "start"
            case "name":
                return "docs.js"
        raise AssertionError(f"the matrix does not know how to make a {name}")

    async def _post(self, collection: str, new: dict[str, Any], maker: Principal) -> Any:
        """The maker is an admin for just that moment: a viewer may own what they made when they were more."""
        assert maker.owner is not None
        cursor = await self._db.execute("SELECT role FROM users WHERE id = %s", [maker.user_id])
        [(role,)] = await cursor.fetchall()
        await self._db.execute("UPDATE users SET role = 'admin' WHERE id = %s", [maker.user_id])
        answer = await self._api.http.post(collection, json=new, headers=maker.owner.headers)
        assert answer.status_code == 201, answer.text
        await self._db.execute("UPDATE users SET role = %s WHERE id = %s", [role, maker.user_id])
        return answer.json()

    async def _token(self, owner: Principal) -> str:
        cursor = await self._db.execute(
            "INSERT INTO api_tokens (owner_id, name, role, token_hash) VALUES (%s, %s, 'viewer', %s) RETURNING id",
            [owner.user_id, secrets.token_hex(4), secrets.token_bytes(32)],
        )
        [(token_id,)] = await cursor.fetchall()
        return str(token_id)
