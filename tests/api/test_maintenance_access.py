"""Maintenance windows over REST: permissions, visibility, and events."""

from typing import Any

import psycopg
import pytest

from tests.api.conftest import Api, add_service, create_user, now, until
from tests.api.windows import DAY, body, create_window

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]


async def test_anonymous_clients_see_public_windows_with_their_public_services(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    await add_service(db, "hidden", public=False)
    viewer, reporter = await create_user(db, "viewer"), await create_user(db, "reporter")
    both = await create_window(api, reporter, body(now() + DAY, affectedServices=["hidden", "shop"]))
    internal = await create_window(api, reporter, body(now() + DAY, title="Secret", public=False))
    assert both["affectedServices"] == ["hidden", "shop"]

    [listed] = (await api.get("/api/maintenance"))["maintenance"]
    assert (listed["id"], listed["affectedServices"]) == (both["id"], ["shop"])
    assert (await api.http.get(f"/api/maintenance/{internal['id']}")).status_code == 404
    assert len((await api.get("/api/maintenance", headers=viewer.headers))["maintenance"]) == 2
    [shown] = (await api.get("/api/system-status"))["maintenance"]
    assert (shown["id"], shown["title"], shown["affectedServices"]) == (both["id"], "New disks", ["shop"])

    # Cached responses are invalidated when a window becomes internal.
    path = f"/api/maintenance/{both['id']}"
    assert (await api.http.put(path, json={"public": False}, headers=reporter.headers)).status_code == 200

    async def gone() -> bool:
        responses = [(await api.get("/api/maintenance")), (await api.get("/api/system-status"))]
        return all(response["maintenance"] == [] for response in responses)

    await until(gone)


async def test_reporters_change_all_windows_and_cancel_their_own_and_admins_any(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    viewer, reporter, other, admin = [
        await create_user(db, role) for role in ("viewer", "reporter", "reporter", "admin")
    ]
    path = f"/api/maintenance/{(await create_window(api, reporter, body(now() + DAY)))['id']}"
    assert (await api.http.post("/api/maintenance", json=body(now() + DAY))).status_code == 401
    assert (await api.http.put(path, json={"title": "x"})).status_code == 401
    for refused in (
        await api.http.post("/api/maintenance", json=body(now() + DAY), headers=viewer.headers),
        await api.http.put(path, json={"title": "x"}, headers=viewer.headers),
        await api.http.delete(path, headers=viewer.headers),
        await api.http.delete(path, headers=other.headers),
    ):
        assert refused.status_code == 403
    assert (await api.http.put(path, json={"title": "Ours"}, headers=other.headers)).status_code == 200
    assert (await api.http.delete(path, headers=admin.headers)).status_code == 204


async def test_events_of_an_internal_window_are_sent_to_staff_only(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    reporter = await create_user(db, "reporter")
    public = await create_window(api, reporter, body(now() + DAY))
    internal = await create_window(api, reporter, body(now() + DAY, public=False))
    await api.http.put(f"/api/maintenance/{public['id']}", json={"public": False}, headers=reporter.headers)
    await api.http.delete(f"/api/maintenance/{internal['id']}", headers=reporter.headers)
    cursor = await db.execute(
        "SELECT room, data ->> 'maintenanceId' FROM events WHERE event = 'maintenance-updated' ORDER BY seq"
    )
    assert await cursor.fetchall() == [
        (None, public["id"]),
        ("staff", internal["id"]),
        (None, public["id"]),
        ("staff", internal["id"]),
    ]
