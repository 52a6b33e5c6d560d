"""/console/templates: incident templates in forms."""

from typing import Any

import pytest

from tests.api.conftest import Api, add_service, create_user
from tests.api.people import Db
from tests.api.visitors import Visitor, invalid_fields, redirect_target, visitor

pytestmark = pytest.mark.one_engine

HERE = "/console/templates"
NEW: dict[str, Any] = {
    "name": "Failover",
    "description": "When it fails over",
    "data.title": "Database fails over",
    "data.severity": "high",
    "data.priority": "P1",
    "data.affectedServices": ["shop"],
    "data.description": "Nobody can <b>pay</b>",
    "data.update": "We look into it",
}


@pytest.fixture
async def reporter(api: Api, db: Db) -> Visitor:
    await add_service(db, "shop")
    await add_service(db, "vault", public=False)
    return await visitor(api, await create_user(db, "reporter"))


async def add(reporter: Visitor, db: Db) -> str:
    assert redirect_target(await reporter.fill(f"{HERE}/new", HERE, fields=NEW)) == f"{HERE}?done=created"
    [(template_id,)] = await (await db.execute("SELECT id FROM templates")).fetchall()
    return str(template_id)


async def test_a_template_is_added_shown_changed_and_deleted(reporter: Visitor, db: Db) -> None:
    template = await add(reporter, db)
    page = await reporter.get(f"{HERE}?done=created")
    assert "The template has been created." in page.text and "Failover" in page.text
    assert f'href="/console/incidents/new?template={template}"' in page.text
    form = (await reporter.get(f"{HERE}/{template}")).form(f"{HERE}/{template}")
    assert {name: form.values(name) for name in NEW} == {
        name: value if isinstance(value, list) else [value] for name, value in NEW.items()
    }
    redirect_target(await reporter.submit(form, fields={"data.affectedServices": ["shop", "vault"], "description": ""}))
    cursor = await db.execute("SELECT description, affected_services FROM templates")
    assert await cursor.fetchall() == [(None, ["shop", "vault"])]
    page = await reporter.get(f"{HERE}/{template}/delete")
    assert redirect_target(await reporter.submit(page.form(f"{HERE}/{template}/delete"))) == f"{HERE}?done=deleted"
    await reporter.get(f"{HERE}/{template}", status=404)


@pytest.mark.parametrize(
    ("field", "value"), [("name", ""), ("name", "failover"), ("data.title", ""), ("data.affectedServices", ["gone"])]
)
async def test_invalid_fields_are_marked_and_all_values_are_kept(
    reporter: Visitor, db: Db, field: str, value: str | list[str]
) -> None:
    await add(reporter, db)
    response = await reporter.fill(f"{HERE}/new", HERE, fields={**NEW, "name": "Other", field: value})
    assert response.status in (400, 409)
    assert invalid_fields(response) == {field}
    form = response.form(HERE)
    assert form.value("data.update") == "We look into it"
    assert form.value("data.description") == "Nobody can <b>pay</b>" and "<b>pay" not in response.text
    assert field == "data.affectedServices" or form.value(field) == value


async def test_a_reporter_changes_but_does_not_delete_the_template_of_another(
    reporter: Visitor, api: Api, db: Db
) -> None:
    template = await add(reporter, db)
    other = await visitor(api, await create_user(db, "reporter"))
    redirect_target(await other.fill(f"{HERE}/{template}", name="Ours"))
    await other.get(f"{HERE}/{template}/delete", status=403)
    assert "/delete" not in (await other.get(HERE)).text
    viewer = await visitor(api, await create_user(db, "viewer"))
    page = await viewer.get(HERE)
    assert "Ours" in page.text and f"{HERE}/{template}" not in page.text and "new?template" not in page.text
