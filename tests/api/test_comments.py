"""Comments on incidents: events, visibility, invalid comments, and permissions to delete."""

from typing import Any

import pytest

from tests.api.conftest import Api, User, create_user
from tests.api.incidents import Db, change, create, error_fields, incident_events

pytestmark = pytest.mark.one_engine


async def add_comment(api: Api, user: User, incident_id: str, **body: Any) -> Any:
    response = await api.http.post(f"/api/incidents/{incident_id}/comments", json=body, headers=user.headers)
    assert response.status_code == 201, response.text
    return response.json()["comment"]


async def test_comments_are_sent_to_the_room_and_listed_oldest_first(api: Api, db: Db, reporter: User) -> None:
    incident_id = (await create(api, reporter))["id"]
    hostile = "<b>\u202e\U0001f525\u0007 <!channel>"
    first = await add_comment(api, reporter, incident_id, text=hostile)
    second = await add_comment(api, reporter, incident_id, text="Seen", public=True)
    assert first == {
        "id": first["id"],
        "incidentId": incident_id,
        "text": hostile,
        "content": hostile,
        "public": False,
        "author": reporter.username,
        "userName": reporter.username,
        "userId": str(reporter.user_id),
        "createdAt": first["createdAt"],
        "timestamp": first["createdAt"],
    }
    room = f"incident-{incident_id}"
    assert (await incident_events(db))[2:] == [
        ("incident-comment", room, {"incidentId": incident_id, "comment": first}),
        ("incident-comment", room, {"incidentId": incident_id, "comment": second}),
    ]
    path = f"/api/incidents/{incident_id}/comments"
    viewer = await create_user(db, "viewer")
    assert (await api.get(path, headers=viewer.headers))["comments"] == [first, second]
    assert (await api.get(path))["comments"] == [second | {"author": None, "userName": None, "userId": None}]
    assert (await api.get(f"{path}?before={second['id']}", headers=viewer.headers))["comments"] == [first]
    await change(api, reporter, incident_id, public=False)
    assert (await api.http.get(path)).status_code == 404
    assert (await api.get(f"/api/incidents/{incident_id}", headers=viewer.headers))["incident"]["version"] == 2


async def test_only_users_see_the_authors_of_comments(api: Api, db: Db, reporter: User) -> None:
    incident_id = (await create(api, reporter))["id"]
    await add_comment(api, reporter, incident_id, text="Ours")
    shown = await add_comment(api, reporter, incident_id, text="Public", public=True)
    path = f"/api/incidents/{incident_id}/comments"
    anonymous = await api.http.get(path)
    assert anonymous.json()["comments"] == [shown | {"author": None, "userName": None, "userId": None}]
    assert not any(secret in anonymous.text for secret in (reporter.username, str(reporter.user_id), "Ours"))
    rooms = {room for event, room, _ in await incident_events(db) if event == "incident-comment"}
    assert rooms == {f"incident-{incident_id}"}  # which anonymous clients cannot join
    for role in ("viewer", "reporter", "admin"):
        listed = (await api.get(path, headers=(await create_user(db, role)).headers))["comments"]
        assert [(comment["author"], comment["userId"]) for comment in listed] == 2 * [
            (reporter.username, str(reporter.user_id))
        ]


INVALID: list[tuple[Any, str]] = [
    ({}, "text"),
    ({"text": ""}, "text"),
    ({"text": "x" * 10001}, "text"),
    ({"text": "\u0000"}, "text"),
    ({"text": " \n\u3000"}, "text"),
    ({"text": "x", "public": None}, "public"),
    ({"text": "x", "author": "another user"}, "author"),
    ({"text": "x", "userId": "another user"}, "userId"),
]


async def test_an_invalid_comment_is_refused_by_field(api: Api, reporter: User) -> None:
    for body, field in INVALID:
        incident_id = (await create(api, reporter))["id"]
        response = await api.http.post(f"/api/incidents/{incident_id}/comments", json=body, headers=reporter.headers)
        assert field in error_fields(response)


async def test_users_delete_their_own_comments_and_admins_any(api: Api, db: Db, reporter: User) -> None:
    colleague, admin = await create_user(db, "reporter"), await create_user(db, "admin")
    incident_id = (await create(api, reporter))["id"]
    other_id = (await create(api, reporter))["id"]
    path = f"/api/incidents/{incident_id}/comments"
    mine = await add_comment(api, reporter, incident_id, text="Mine")
    also_mine = await add_comment(api, reporter, incident_id, text="Also mine")
    assert (await api.http.delete(f"{path}/{mine['id']}", headers=colleague.headers)).status_code == 403
    elsewhere = f"/api/incidents/{other_id}/comments/{mine['id']}"
    assert (await api.http.delete(elsewhere, headers=admin.headers)).status_code == 404
    assert (await api.http.delete(f"{path}/{mine['id']}", headers=reporter.headers)).status_code == 204
    assert (await api.http.delete(f"{path}/{mine['id']}", headers=reporter.headers)).status_code == 404
    assert (await api.http.delete(f"{path}/{also_mine['id']}", headers=admin.headers)).status_code == 204
    assert (await api.get(path, headers=admin.headers))["comments"] == []


async def test_a_comment_on_a_missing_incident_is_a_404(api: Api, db: Db) -> None:
    admin = await create_user(db, "admin")
    for missing in ("INC-2026-0001", "nothing", "INC%00"):
        path = f"/api/incidents/{missing}/comments"
        assert (await api.http.get(path)).status_code == 404
        assert (await api.http.post(path, json={"text": "x"}, headers=admin.headers)).status_code == 404
        for number in ("1", "0", "-1", "9" * 30, "9" * 5000, "x"):
            assert (await api.http.delete(f"{path}/{number}", headers=admin.headers)).status_code == 404, number
    for before in ("0", "x", "9" * 30):
        assert error_fields(await api.http.get(f"/api/incidents/INC-2026-0001/comments?before={before}")) == ["before"]


async def test_a_comment_remains_when_its_author_is_deleted(api: Api, db: Db, reporter: User) -> None:
    incident_id = (await create(api, reporter))["id"]
    await add_comment(api, reporter, incident_id, text="x", public=True)
    viewer = await create_user(db, "viewer")
    await db.execute("DELETE FROM users WHERE id = %s", [reporter.user_id])
    path = f"/api/incidents/{incident_id}/comments"
    [left] = (await api.get(path, headers=viewer.headers))["comments"]
    assert (left["text"], left["author"], left["userId"]) == ("x", reporter.username, None)
    assert (await api.get(path))["comments"] == [left | {"author": None, "userName": None}]
