"""Comments: internal ones stay inside, and one's own may be taken back."""

from typing import Any

import pytest

from tests.api.conftest import Api, Someone, someone
from tests.api.incidents import Db, change, create, fields, told

pytestmark = pytest.mark.one_engine


@pytest.fixture
async def reporter(db: Db) -> Someone:
    return await someone(db, "reporter")


async def comment(api: Api, who: Someone, incident_id: str, **body: Any) -> Any:
    answer = await api.http.post(f"/api/incidents/{incident_id}/comments", json=body, headers=who.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()["comment"]


async def test_comments_are_told_in_the_room_and_listed_oldest_first(api: Api, db: Db, reporter: Someone) -> None:
    incident_id = (await create(api, reporter))["id"]
    hostile = "<b>\u202e\U0001f525\u0007 <!channel>"
    first = await comment(api, reporter, incident_id, text=hostile)
    second = await comment(api, reporter, incident_id, text="Seen", public=True)
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
    assert (await told(db))[2:] == [
        ("incident-comment", room, {"incidentId": incident_id, "comment": first}),
        ("incident-comment", room, {"incidentId": incident_id, "comment": second}),
    ]
    path = f"/api/incidents/{incident_id}/comments"
    viewer = await someone(db, "viewer")
    assert (await api.get(path, headers=viewer.headers))["comments"] == [first, second]
    assert (await api.get(path))["comments"] == [second | {"author": None, "userName": None, "userId": None}]
    assert (await api.get(f"{path}?before={second['id']}", headers=viewer.headers))["comments"] == [first]
    await change(api, reporter, incident_id, public=False)
    assert (await api.http.get(path)).status_code == 404
    assert (await api.get(f"/api/incidents/{incident_id}", headers=viewer.headers))["incident"]["version"] == 2


async def test_who_wrote_a_comment_is_for_those_inside(api: Api, db: Db, reporter: Someone) -> None:
    incident_id = (await create(api, reporter))["id"]
    await comment(api, reporter, incident_id, text="Ours")
    shown = await comment(api, reporter, incident_id, text="Everybody's", public=True)
    path = f"/api/incidents/{incident_id}/comments"
    outside = await api.http.get(path)
    assert outside.json()["comments"] == [shown | {"author": None, "userName": None, "userId": None}]
    assert not any(secret in outside.text for secret in (reporter.username, str(reporter.user_id), "Ours"))
    rooms = {room for event, room, _ in await told(db) if event == "incident-comment"}
    assert rooms == {f"incident-{incident_id}"}  # which nobody outside can join
    for role in ("viewer", "reporter", "admin"):
        listed = (await api.get(path, headers=(await someone(db, role)).headers))["comments"]
        assert [(said["author"], said["userId"]) for said in listed] == 2 * [(reporter.username, str(reporter.user_id))]


BAD: list[tuple[Any, str]] = [
    ({}, "text"),
    ({"text": ""}, "text"),
    ({"text": "x" * 10001}, "text"),
    ({"text": "\u0000"}, "text"),
    ({"text": " \n\u3000"}, "text"),
    ({"text": "x", "public": None}, "public"),
    ({"text": "x", "author": "somebody"}, "author"),
    ({"text": "x", "userId": "somebody"}, "userId"),
]


async def test_a_bad_comment_is_refused_by_field(api: Api, reporter: Someone) -> None:
    for body, field in BAD:
        incident_id = (await create(api, reporter))["id"]
        answer = await api.http.post(f"/api/incidents/{incident_id}/comments", json=body, headers=reporter.headers)
        assert field in fields(answer)


async def test_ones_own_comment_may_be_taken_back_and_admins_remove_any(api: Api, db: Db, reporter: Someone) -> None:
    colleague, admin = await someone(db, "reporter"), await someone(db, "admin")
    incident_id = (await create(api, reporter))["id"]
    other_id = (await create(api, reporter))["id"]
    path = f"/api/incidents/{incident_id}/comments"
    mine = await comment(api, reporter, incident_id, text="Mine")
    also_mine = await comment(api, reporter, incident_id, text="Also mine")
    assert (await api.http.delete(f"{path}/{mine['id']}", headers=colleague.headers)).status_code == 403
    elsewhere = f"/api/incidents/{other_id}/comments/{mine['id']}"
    assert (await api.http.delete(elsewhere, headers=admin.headers)).status_code == 404
    assert (await api.http.delete(f"{path}/{mine['id']}", headers=reporter.headers)).status_code == 204
    assert (await api.http.delete(f"{path}/{mine['id']}", headers=reporter.headers)).status_code == 404
    assert (await api.http.delete(f"{path}/{also_mine['id']}", headers=admin.headers)).status_code == 204
    assert (await api.get(path, headers=admin.headers))["comments"] == []


async def test_a_comment_on_nothing_is_a_404(api: Api, db: Db) -> None:
    admin = await someone(db, "admin")
    for missing in ("INC-2026-0001", "nothing", "INC%00"):
        path = f"/api/incidents/{missing}/comments"
        assert (await api.http.get(path)).status_code == 404
        assert (await api.http.post(path, json={"text": "x"}, headers=admin.headers)).status_code == 404
        for number in ("1", "0", "-1", "9" * 30, "9" * 5000, "x"):
            assert (await api.http.delete(f"{path}/{number}", headers=admin.headers)).status_code == 404, number
    for before in ("0", "x", "9" * 30):
        assert fields(await api.http.get(f"/api/incidents/INC-2026-0001/comments?before={before}")) == ["before"]


async def test_a_comment_outlives_its_author(api: Api, db: Db, reporter: Someone) -> None:
    incident_id = (await create(api, reporter))["id"]
    await comment(api, reporter, incident_id, text="x", public=True)
    viewer = await someone(db, "viewer")
    await db.execute("DELETE FROM users WHERE id = %s", [reporter.user_id])
    path = f"/api/incidents/{incident_id}/comments"
    [left] = (await api.get(path, headers=viewer.headers))["comments"]
    assert (left["text"], left["author"], left["userId"]) == ("x", reporter.username, None)
    assert (await api.get(path))["comments"] == [left | {"author": None, "userName": None}]
