"""Only users see internal incidents, private services, and the names of users and tokens."""

import pytest

from tests.api.conftest import Api, User, add_service, create_user
from tests.api.incidents import (
    OUTAGE,
    Db,
    add_update,
    change,
    create,
    get_incident,
    incident_events,
    public_incident,
    without_names,
)

pytestmark = pytest.mark.one_engine


@pytest.mark.one_day
async def test_only_users_see_internal_incidents_and_private_services(api: Api, db: Db, reporter: User) -> None:
    viewer = await create_user(db, "viewer")
    await add_service(db, "shop")
    await add_service(db, "vault", public=False)
    partly_public = await create(api, reporter, affectedServices=["vault", "shop"])
    internal = await create(api, reporter, public=False)
    for user, ids in ((None, [partly_public["id"]]), (viewer, [internal["id"], partly_public["id"]])):
        headers = {} if user is None else user.headers
        for path in ("/api/incidents", "/api/incidents?status=all"):
            assert [found["id"] for found in (await api.get(path, headers=headers))["incidents"]] == ids
        past = (await api.get("/api/incidents/past", headers=headers))["days"]
        assert [found["id"] for day in past for found in day["incidents"]] == ids
    assert (await public_incident(api, partly_public["id"], 1))["affectedServices"] == ["shop"]
    assert (await get_incident(api, viewer, partly_public["id"]))["affectedServices"] == ["shop", "vault"]
    assert (await api.http.get(f"/api/incidents/{internal['id']}")).status_code == 404
    assert (await get_incident(api, viewer, internal["id"]))["public"] is False
    assert (await api.get("/api/incidents?service=vault"))["incidents"] == []
    assert len((await api.get("/api/incidents?service=vault", headers=viewer.headers))["incidents"]) == 1


async def test_only_users_see_the_names_of_users(api: Api, db: Db, reporter: User) -> None:
    """Anonymous clients see the same incident without names of users. They see `reporter` if it is not the name of a
    user."""
    viewer, colleague = await create_user(db, "viewer"), await create_user(db, "reporter")
    incident = await create(api, reporter, update="We are looking")
    await add_update(api, colleague, incident["id"], "identified")
    path = f"/api/incidents/{incident['id']}"
    whole = await get_incident(api, viewer, incident["id"])
    assert (whole["author"], whole["reporter"]) == (reporter.username, reporter.username)
    assert [update["author"] for update in whole["updates"]] == [colleague.username, reporter.username]
    for where in (path, "/api/incidents", "/api/incidents?status=all", "/api/incidents/past"):
        shown = (await api.http.get(where)).text
        assert incident["id"] in shown
        assert not any(name in shown for name in (reporter.username, colleague.username)), where
    assert await public_incident(api, incident["id"], whole["version"]) == without_names(whole)
    for name in (reporter.username, colleague.username):
        assert (await api.get(f"/api/incidents?status=all&q={name}"))["incidents"] == []
    named = (await change(api, colleague, incident["id"], reporter="Service desk")).json()["incident"]
    assert (await public_incident(api, incident["id"], named["version"])) == without_names(named)
    assert without_names(named)["reporter"] == "Service desk"
    own_name = (await change(api, colleague, incident["id"], reporter=colleague.username.upper())).json()["incident"]
    assert (await public_incident(api, incident["id"], own_name["version"])) == without_names(own_name) | {
        "reporter": None
    }


async def test_only_users_see_the_name_of_a_token_and_its_owner(api: Api, db: Db) -> None:
    """The default of `reporter` is the name of the creator, cut to the length of the column. Both are hidden."""
    admin = await create_user(db)
    created = await api.http.post("/api/tokens", json={"name": "n" * 100, "role": "reporter"}, headers=admin.headers)
    headers = {"Authorization": f"Bearer {created.json()['secret']}"}
    response = await api.http.post("/api/incidents", json=OUTAGE | {"update": "x"}, headers=headers)
    incident = response.json()["incident"]
    assert incident["author"] == f"{admin.username}/{'n' * 100}"
    assert incident["reporter"] == incident["author"][:100]
    assert (await api.get(f"/api/incidents/{incident['id']}"))["incident"] == without_names(incident) | {
        "reporter": None
    }
    assert [admin.username in str(data) for _, room, data in await incident_events(db) if room == "anonymous"] == [
        False
    ]
