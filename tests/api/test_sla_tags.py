"""A service with two tags that both have an SLA policy is refused wherever services are saved."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from api.services.declared import DeclarationError, apply
from sla_monitor.settings import Settings
from sql import open_pool
from tests.api.conftest import Api, User, add_service, create_user, fetch_row, until
from tests.api.people import Db
from tests.api.test_sla_figures import add_policy
from tests.api.visitors import redirect_target, visitor
from tests.sql.batches import set_clock

pytestmark = pytest.mark.one_engine

SHOP = {"id": "shop", "name": "Shop", "endpointUrl": "https://shop.example/"}
NOON = datetime(2026, 11, 15, 12, tzinfo=UTC)


@pytest.fixture
async def admin(db: Db) -> User:
    """An admin. The tags gold and silver have a policy, eu has none."""
    await add_policy(db, "tag", "gold")
    await add_policy(db, "tag", "silver")
    return await create_user(db)


async def tags(db: Db) -> list[Any]:
    cursor = await db.execute("SELECT id, tags FROM services ORDER BY id")
    return await cursor.fetchall()


def assert_refused(response: httpx.Response) -> None:
    assert (response.status_code, response.json()["reason"]) == (409, "two_tag_policies"), response.text
    assert response.json()["parameters"] == {"service": "shop", "tag": "gold", "other": "silver"}


async def test_a_new_service_is_refused(api: Api, db: Db, admin: User) -> None:
    body = SHOP | {"tags": ["eu", "silver", "gold"]}
    assert_refused(await api.http.post("/api/services", json=body, headers=admin.headers))
    assert await tags(db) == []
    body = SHOP | {"tags": ["eu", "silver"]}
    assert (await api.http.post("/api/services", json=body, headers=admin.headers)).status_code == 201


async def test_a_changed_service_is_refused(api: Api, db: Db, admin: User) -> None:
    await add_service(db, "shop", tags=["gold"])
    path = "/api/services/shop"
    assert_refused(await api.http.patch(path, json={"tags": ["gold", "silver"]}, headers=admin.headers))
    assert await tags(db) == [("shop", ["gold"])]
    assert (await api.http.patch(path, json={"tags": ["silver", "eu"]}, headers=admin.headers)).status_code == 200


async def test_only_policies_that_are_or_will_be_valid_count(api: Api, db: Db, admin: User) -> None:
    await set_clock(db, NOON)
    ended = (
        "INSERT INTO sla_policy_versions (policy_id, version, valid_from, ended, name, target, time_zone, author) "
        "SELECT id, 2, %s, true, 'End', 99, 'UTC', 'ann' FROM sla_policies WHERE subject = 'silver'"
    )
    body = SHOP | {"tags": ["gold", "silver"]}
    await db.execute(ended, ["2026-12-01"])
    assert_refused(await api.http.post("/api/services", json=body, headers=admin.headers))
    await set_clock(db, datetime(2026, 12, 1, 12, tzinfo=UTC))
    assert (await api.http.post("/api/services", json=body, headers=admin.headers)).status_code == 201


async def test_the_form_of_the_console_is_shown_again(api: Api, db: Db, admin: User) -> None:
    person = await visitor(api, admin)
    refused = await person.fill("/console/services/new", "/console/services", **SHOP, tags="gold, silver")
    assert refused.status == 409
    assert "The service shop has the tags gold and silver, and both would have an SLA policy" in refused.text
    assert await tags(db) == []
    assert redirect_target(await person.fill("/console/services/new", "/console/services", **SHOP, tags="gold"))
    refused = await person.fill("/console/services/shop", tags="gold, silver")
    assert refused.status == 409
    assert await tags(db) == [("shop", ["gold"])]


async def test_a_file_is_refused_as_a_whole(database: str, db: Db, admin: User, tmp_path: Path) -> None:
    path = tmp_path / "services.toml"
    declared = '[[service]]\nid = "{}"\nname = "Shop"\nendpointUrl = "https://shop.example/"\ntags = {}\n'
    wiki = declared.format("wiki", '["gold"]')
    async with open_pool(database, application="applying") as pool:
        path.write_text(wiki + declared.format("shop", '["silver", "gold"]'))
        with pytest.raises(DeclarationError) as refused:
            await apply(path, Settings(), pool)
        assert str(refused.value) == (
            f"{path}: The service shop has the tags gold and silver, and both would have an SLA policy"
        )
        assert await tags(db) == []
        path.write_text(wiki + declared.format("shop", '["silver"]'))
        assert await apply(path, Settings(), pool) == [("shop", "applied"), ("wiki", "applied")]


async def test_a_service_is_saved_after_a_policy_that_is_being_saved(api: Api, db: Db) -> None:
    """The request waits for a transaction that adds the policy of the second tag, and then sees it."""
    admin = await create_user(db)
    await add_policy(db, "tag", "gold")
    responses: list[httpx.Response] = []

    async def post() -> None:
        body = SHOP | {"tags": ["gold", "silver"]}
        responses.append(await api.http.post("/api/services", json=body, headers=admin.headers))

    async def waits() -> bool:
        waiting = "FROM pg_locks WHERE relation = 'sla_policies'::regclass AND mode = 'ShareLock' AND NOT granted"
        return await fetch_row(db, f"SELECT count(*) {waiting}") == (1,)

    async with anyio.create_task_group() as tasks, db.transaction():
        await db.execute("LOCK TABLE sla_policies IN SHARE ROW EXCLUSIVE MODE")
        await add_policy(db, "tag", "silver")
        tasks.start_soon(post)
        await until(waits)
    assert_refused(responses[0])
