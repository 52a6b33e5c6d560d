"""POST /api/sla/simulate: figures under another policy or other corrections, as after saving; nothing is stored."""

from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

import sql
from tests.api.conftest import Api, User, add_service, create_user, fetch_row
from tests.api.incidents import error_fields
from tests.api.people import Db
from tests.api.test_sla_figures import MINUTE, MONTH_S, NOON, add_policy, watch
from tests.api.test_sla_timeline import add_correction, iso
from tests.sql.batches import until_true

PATH = "/api/sla/simulate"
POLICY = {"scope": "everything", "name": "Other", "target": 99.5, "timeZone": "UTC"}
CORRECTION = {
    "scope": "service",
    "subject": "shop",
    "effect": "up",
    "category": "false_positive",
    "reason": "The proxy failed",
    "startsAt": iso(NOON - 35 * MINUTE),
    "endsAt": iso(NOON - 20 * MINUTE),
}


async def simulate(api: Api, user: User, **body: Any) -> Any:
    response = await api.http.post(PATH, json=body, headers=user.headers)
    assert response.status_code == 200, response.text
    return response.json()


async def simulate_shop(api: Api, user: User, **body: Any) -> tuple[Any, Any]:
    """Returns the current and the simulated figures of the only service."""
    [found] = (await simulate(api, user, **body))["services"]
    assert found["service"] == {"id": "shop", "name": "Shop"}
    return found["current"], found["simulated"]


async def rows_of_all_tables(db: Db) -> dict[str, int]:
    """Returns the number of rows of each table that a save can write."""
    tables = (
        *("sla_policies", "sla_policy_versions", "sla_corrections", "sla_correction_spans", "audit_entries"),
        *("events", "holiday_calendars", "service_memberships"),
    )
    return {name: (await fetch_row(db, f"SELECT count(*) FROM {name}"))[0] for name in tables}


async def test_another_policy_gives_the_figures_that_it_would_have_if_it_were_saved(api: Api, db: Db) -> None:
    await add_policy(db, target=99)
    await watch(db, failed=range(31, 37), slow=range(11, 21))
    admin = await create_user(db)
    current, simulated = await simulate_shop(api, admin, policy=POLICY | {"degradedWeight": 0.5})
    assert current["policy"] | {"id": ""} == {"id": "", "version": 1, "name": "Standard", "target": 99}
    assert simulated["policy"] | {"id": ""} == {"id": "", "version": 2, "name": "Other", "target": 99.5}
    assert (current["uptime"], current["verdict"], current["downSeconds"], current["outages"]) == (
        *("90.00", "missed"),
        *(360, 1),
    )
    assert (current["budgetSeconds"], current["leftSeconds"]) == (MONTH_S / 100, MONTH_S / 100 - 360)
    assert (simulated["uptime"], simulated["verdict"], simulated["downSeconds"]) == ("81.66", "missed", 360)
    assert (simulated["budgetSeconds"], simulated["leftSeconds"]) == (MONTH_S / 200, MONTH_S / 200 - 660)

    await db.execute("DELETE FROM sla_policies")
    await add_policy(db, target=99.5, name="Other", degraded_weight=0.5)
    saved, _ = await simulate_shop(api, admin)
    assert {**simulated, "policy": {}} == {**saved, "policy": {}}


async def test_corrections_are_added_and_withdrawn(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db, failed=range(31, 41))
    stored = await add_correction(db, "up", 40, 38)
    reporter = await create_user(db, "reporter")
    current, simulated = await simulate_shop(api, reporter, corrections=[CORRECTION])
    assert (current["downSeconds"], simulated["downSeconds"]) == (480, 180)
    again, simulated = await simulate_shop(api, reporter, withdrawn=[str(stored)])
    assert (again, simulated["downSeconds"]) == (current, 600)
    # The later one of the body counts, and both before those that are stored.
    corrections = [CORRECTION | {"startsAt": iso(NOON - 39 * MINUTE), "effect": "down"}, CORRECTION]
    _, simulated = await simulate_shop(api, reporter, corrections=corrections)
    assert simulated["downSeconds"] == 4 * 60
    assert (simulated["uptime"], simulated["outages"]) == ("93.33", 1)


async def test_nothing_is_stored_and_nobody_is_notified(api: Api, db: Db, database: str) -> None:
    await add_policy(db)
    await watch(db, failed=range(31, 41))
    stored = await add_correction(db, "up", 40, 38)
    admin = await create_user(db)
    before = await rows_of_all_tables(db)
    async with await sql.connect(database, application="listener") as listener:
        await listener.execute("LISTEN sla_monitor")
        for policy in (POLICY, POLICY | {"scope": "tag", "subject": "gold"}):
            await simulate(api, admin, policy=policy, corrections=[CORRECTION], withdrawn=[str(stored)])
        # Notifications arrive in the order of their commits.
        await db.execute("SELECT pg_notify('sla_monitor', 'last')")
        received = [one.payload async for one in listener.notifies(timeout=60, stop_after=1)]
    assert received == ["last"]
    assert await rows_of_all_tables(db) == before
    assert await fetch_row(db, "SELECT withdrawn_at FROM sla_corrections") == (None,)


@pytest.mark.one_engine
async def test_without_services_those_are_chosen_that_the_changes_are_for(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db)
    await add_service(db, "vault", public=False, group_name="Back", tags=["gold"])
    await add_service(db, "wiki", tags=["gold"])
    reporter = await create_user(db, "reporter")

    async def chosen(**body: Any) -> list[str]:
        return [one["service"]["id"] for one in (await simulate(api, reporter, **body))["services"]]

    assert await chosen() == ["shop", "vault", "wiki"]
    assert await chosen(policy=POLICY | {"scope": "tag", "subject": "gold"}) == ["vault", "wiki"]
    assert await chosen(policy=POLICY | {"scope": "group", "subject": "Back"}) == ["vault"]
    assert await chosen(corrections=[CORRECTION]) == ["shop"]
    assert await chosen(corrections=[CORRECTION], services=["wiki"]) == ["wiki"]


@pytest.mark.one_engine
async def test_a_policy_of_the_service_still_comes_first(api: Api, db: Db) -> None:
    await add_policy(db, "service", "shop", target=99.9)
    await watch(db)
    admin = await create_user(db)
    current, simulated = await simulate_shop(api, admin, policy=POLICY)
    assert simulated == current
    _, simulated = await simulate_shop(api, admin, policy=POLICY | {"scope": "service", "subject": "shop"})
    assert simulated["policy"]["target"] == 99.5


@pytest.mark.one_engine
async def test_a_service_without_a_policy_has_no_current_figures(api: Api, db: Db) -> None:
    await watch(db)
    admin = await create_user(db)
    answer = await simulate(api, admin, policy=POLICY, period="2026-Q4")
    assert answer["period"] == "2026-Q4"
    assert answer["services"][0]["current"] is None
    assert answer["services"][0]["simulated"]["budgetSeconds"] == pytest.approx(92 * 86400 * 0.005)
    valid_from = POLICY | {"validFrom": "2026-12-01"}
    _, later = await simulate_shop(api, admin, policy=valid_from, period="2026-Q4")
    assert later["budgetSeconds"] == pytest.approx(31 * 86400 * 0.005)


@pytest.mark.one_engine
async def test_invalid_simulations_are_refused_by_field(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db)
    admin = await create_user(db)
    unknown = "00000000-0000-0000-0000-000000000000"
    soon = iso(datetime(2026, 11, 15, 13, tzinfo=UTC))
    invalid: list[tuple[dict[str, Any], str]] = [
        ({"period": "2026-13"}, "period"),
        ({"period": "2026-10"}, "period"),  # ended before the first check
        ({"period": "tomorrow"}, "period"),
        ({"services": []}, "services"),
        ({"services": ["shop", "none"]}, "services[1]"),
        ({"services": ["A"]}, "services[0]"),
        ({"policy": POLICY | {"target": 101}}, "policy.target"),
        ({"policy": POLICY | {"timeZone": "Mars/Olympus"}}, "policy.timeZone"),
        ({"policy": POLICY | {"holidayCalendar": "None"}}, "policy.holidayCalendar"),
        ({"policy": POLICY | {"scope": "service", "subject": "none"}}, "policy.subject"),
        ({"policy": POLICY | {"scope": "tag"}}, "policy.subject"),
        ({"corrections": [CORRECTION, CORRECTION | {"reason": " "}]}, "corrections[1].reason"),
        (
            {"corrections": [CORRECTION | {"startsAt": soon, "endsAt": iso(NOON + 99 * MINUTE)}]},
            "corrections[0].startsAt",
        ),
        ({"corrections": [CORRECTION | {"endsAt": CORRECTION["startsAt"]}]}, "corrections[0].endsAt"),
        ({"corrections": [CORRECTION | {"subject": "none"}]}, "corrections[0].subject"),
        ({"corrections": [CORRECTION] * 21}, "corrections"),
        ({"withdrawn": [unknown]}, "withdrawn[0]"),
        ({"withdrawn": ["x"]}, "withdrawn[0]"),
        ({"other": 1}, "other"),
    ]
    before = await rows_of_all_tables(db)
    for body, field in invalid:
        response = await api.http.post(PATH, json=body, headers=admin.headers)
        assert response.status_code == 400, (body, response.text)
        assert error_fields(response) == [field], (body, response.text)
    assert await rows_of_all_tables(db) == before


@pytest.mark.one_engine
async def test_conflicts_are_those_of_saving(api: Api, db: Db) -> None:
    await add_policy(db, "tag", "gold")
    await watch(db)
    await db.execute("UPDATE services SET tags = '{gold,web}'")
    withdrawn = await add_correction(db, "up", 40, 38)
    await db.execute("UPDATE sla_corrections SET withdrawn_at = present(), withdrawn_by = 'Ann'")
    admin = await create_user(db)
    for body, reason in (
        ({"policy": POLICY | {"scope": "tag", "subject": "web"}}, "two_tag_policies"),
        ({"withdrawn": [str(withdrawn)]}, "already_withdrawn"),
    ):
        response = await api.http.post(PATH, json=body, headers=admin.headers)
        assert (response.status_code, response.json()["reason"]) == (409, reason)


@pytest.mark.one_engine
async def test_only_reporters_and_admins_simulate(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db)
    viewer = await create_user(db, "viewer")
    assert (await api.http.post(PATH, json={}, headers=viewer.headers)).status_code == 403
    assert (await api.http.post(PATH, json={})).status_code == 401


@pytest.mark.one_engine
async def test_too_many_services_are_refused(api: Api, db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    await add_policy(db)
    await watch(db)
    await add_service(db, "wiki")
    admin = await create_user(db)
    monkeypatch.setattr("api.sla.simulate.MAX_SERVICES", 1)
    response = await api.http.post(PATH, json={}, headers=admin.headers)
    assert error_fields(response) == ["services"]
    assert len((await simulate(api, admin, services=["shop"]))["services"]) == 1


@pytest.mark.one_engine
async def test_a_simulation_that_waits_for_a_lock_ends_with_503(api: Api, db: Db, database: str) -> None:
    await add_policy(db)
    await watch(db)
    stored = await add_correction(db, "up", 40, 38)
    admin = await create_user(db)
    async with await sql.connect(database, application="saver") as saver, saver.transaction():
        await saver.execute("SELECT FROM sla_corrections FOR UPDATE")
        response = await api.http.post(PATH, json={"withdrawn": [str(stored)]}, headers=admin.headers)
    assert (response.status_code, response.json()["reason"]) == (503, "too_slow")
    assert int(response.headers["retry-after"]) > 0


@pytest.mark.one_engine
async def test_a_simulation_that_computes_for_too_long_ends_with_503(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db)
    admin = await create_user(db)
    await db.execute(
        "CREATE OR REPLACE FUNCTION uptime_percent(down_seconds numeric, covered_seconds numeric) RETURNS text "
        "LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN ''; END $$"
    )
    response = await api.http.post(PATH, json={"policy": POLICY}, headers=admin.headers)
    assert (response.status_code, response.json()["reason"]) == (503, "too_slow")
    assert await fetch_row(db, "SELECT count(*) FROM sla_policy_versions") == (1,)


async def test_it_begins_again_if_the_policy_is_saved_meanwhile(api: Api, db: Db, database: str) -> None:
    await add_policy(db)
    await watch(db)
    admin = await create_user(db)
    versions: list[int] = []

    async def simulate_next() -> None:
        _, simulated = await simulate_shop(api, admin, period="2026-11", policy=POLICY)
        versions.append(simulated["policy"]["version"])

    async with (
        await sql.connect(database, application="saver") as saver,
        anyio.create_task_group() as tasks,
        saver.transaction(),
    ):
        await saver.execute(
            "INSERT INTO sla_policy_versions (policy_id, version, valid_from, name, target, time_zone, author) "
            "SELECT id, 2, '2027-01-01', 'Later', 99, 'UTC', 'ann' FROM sla_policies"
        )
        tasks.start_soon(simulate_next)
        await until_true(db, "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted")
    assert versions == [3]
