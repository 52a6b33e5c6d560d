"""Corrections over REST: stored occurrences, filters, withdrawal, invalid fields, and their effect on figures."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

import sql
from tests.api.conftest import Api, User, add_service, create_user, fetch_row, until
from tests.api.incidents import error_fields
from tests.api.test_sla_figures import NOON, add_policy, watch
from tests.api.visitors import visitor
from tests.sql.batches import set_clock
from worker.corrections import extend_corrections

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
START = datetime(2026, 1, 2, 10, tzinfo=UTC)
PATH = "/api/sla/corrections"


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def body(starts: datetime = START, length: timedelta = HOUR, **fields: Any) -> dict[str, Any]:
    return {
        "scope": "service",
        "subject": "shop",
        "effect": "up",
        "category": "false_positive",
        "reason": "The proxy of the prober failed",
        "startsAt": iso(starts),
        "endsAt": iso(starts + length),
    } | fields


async def correct(api: Api, user: User, correction: dict[str, Any]) -> Any:
    """Creates a correction and returns it as in the response."""
    response = await api.http.post(PATH, json=correction, headers=user.headers)
    assert response.status_code == 201, response.text
    return response.json()["correction"]


async def spans(db: Db) -> list[tuple[datetime, datetime]]:
    cursor = await db.execute("SELECT lower(span), upper(span) FROM sla_correction_spans ORDER BY span")
    return [(low.astimezone(UTC), high.astimezone(UTC)) for low, high in await cursor.fetchall()]


async def test_a_correction_is_created_read_and_withdrawn_once(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    reporter, admin = await create_user(db, "reporter"), await create_user(db, "admin")
    response = await api.http.post(PATH, json=body(), headers=reporter.headers)
    assert response.status_code == 201, response.text
    created = response.json()["correction"]
    assert created == body() | {
        "id": created["id"],
        "rrule": None,
        "timeZone": "UTC",
        "author": reporter.username,
        "createdAt": created["createdAt"],
        "withdrawnAt": None,
        "withdrawnBy": None,
    }
    assert await spans(db) == [(START, START + HOUR)]

    path = response.headers["location"]
    assert path == f"{PATH}/{created['id']}"
    assert (await api.get(path, headers=admin.headers))["correction"] == created
    response = await api.http.post(f"{path}/withdraw", headers=admin.headers)
    assert response.status_code == 200, response.text
    withdrawn = response.json()["correction"]
    assert withdrawn["withdrawnAt"] >= created["createdAt"]
    assert withdrawn == created | {"withdrawnAt": withdrawn["withdrawnAt"], "withdrawnBy": admin.username}
    assert (await api.get(path, headers=reporter.headers))["correction"] == withdrawn

    again = await api.http.post(f"{path}/withdraw", headers=reporter.headers)
    assert (again.status_code, again.json()["reason"]) == (409, "already_withdrawn")
    assert (await api.get(path, headers=reporter.headers))["correction"] == withdrawn
    for missing in (str(uuid.uuid4()), "x"):
        response = await api.http.post(f"{PATH}/{missing}/withdraw", headers=reporter.headers)
        assert (response.status_code, response.json()["reason"]) == (404, "unknown_correction")


async def test_strangers_and_viewers_see_nothing_of_corrections(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    created = await correct(api, await create_user(db, "reporter"), body())
    viewer = await create_user(db, "viewer")
    for method, path in (
        ("GET", PATH),
        ("GET", f"{PATH}/{created['id']}"),
        ("POST", PATH),
        ("POST", f"{PATH}/{created['id']}/withdraw"),
    ):
        for headers, status in (({}, 401), (viewer.headers, 403)):
            sent = body() if path == PATH and method == "POST" else None
            response = await api.http.request(method, path, json=sent, headers=headers)
            assert response.status_code == status, (method, path, response.text)
            assert "proxy" not in response.text
    assert await fetch_row(db, "SELECT count(*), count(withdrawn_at) FROM sla_corrections") == (1, 0)


async def test_a_correction_cannot_be_changed_or_deleted(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    reporter, admin = await create_user(db, "reporter"), await create_user(db, "admin")
    created = await correct(api, reporter, body())
    path = f"{PATH}/{created['id']}"
    for method in ("PUT", "PATCH", "DELETE"):
        assert (await api.http.request(method, path, headers=admin.headers)).status_code == 405
    for statement in ("UPDATE sla_corrections SET reason = 'another'", "DELETE FROM sla_corrections"):
        with pytest.raises(psycopg.errors.RestrictViolation):
            await db.execute(statement.encode())
    await db.execute("DELETE FROM users WHERE id = %s", [reporter.user_id])
    assert (await api.get(path, headers=admin.headers))["correction"] == created

    await api.http.post(f"{path}/withdraw", headers=admin.headers)
    with pytest.raises(psycopg.errors.RestrictViolation):
        await db.execute("UPDATE sla_corrections SET withdrawn_at = NULL, withdrawn_by = NULL")


async def test_a_rule_with_an_end_is_stored_as_a_whole(api: Api, db: Db) -> None:
    """The occurrences start at the same local time, also after the end of summer time on 2026-10-25."""
    await add_service(db, "shop")
    reporter = await create_user(db, "reporter")
    start = datetime(2026, 10, 24, 10, tzinfo=UTC)
    rule: dict[str, Any] = {"rrule": "RRULE:FREQ=DAILY;COUNT=3;", "timeZone": "Europe/Berlin"}
    created = await correct(api, reporter, body(start, **rule))
    assert (created["rrule"], created["timeZone"]) == ("FREQ=DAILY;COUNT=3", "Europe/Berlin")
    later = [start + DAY + HOUR, start + 2 * DAY + HOUR]
    assert await spans(db) == [(low, low + HOUR) for low in (start, *later)]
    assert await fetch_row(db, "SELECT due_at FROM sla_corrections") == (None,)


async def test_the_occurrences_of_an_endless_rule_are_stored_when_they_begin(api: Api, db: Db, database: str) -> None:
    await set_clock(db, NOON)
    await add_service(db, "shop")
    reporter = await create_user(db, "reporter")
    start = NOON - 3 * DAY - 30 * MINUTE
    await correct(api, reporter, body(start, rrule="FREQ=DAILY"))
    assert await spans(db) == [(start + n * DAY, start + n * DAY + HOUR) for n in range(4)]
    assert await fetch_row(db, "SELECT due_at FROM sla_corrections") == (start + 4 * DAY,)

    async with sql.open_pool(database, application="extending") as pool:
        assert await extend_corrections(pool, NOON) == 0
        assert await extend_corrections(pool, NOON + 2 * DAY) == 1
        assert await extend_corrections(pool, NOON + 2 * DAY) == 0
        assert await spans(db) == [(start + n * DAY, start + n * DAY + HOUR) for n in range(6)]
        [listed] = (await api.get(PATH, headers=reporter.headers))["corrections"]
        await api.http.post(f"{PATH}/{listed['id']}/withdraw", headers=reporter.headers)
        assert await extend_corrections(pool, NOON + 9 * DAY) == 0
    assert len(await spans(db)) == 6


async def test_a_recurring_correction_may_begin_in_the_future(api: Api, db: Db) -> None:
    await set_clock(db, NOON)
    await add_service(db, "shop")
    reporter = await create_user(db, "reporter")
    await correct(api, reporter, body(NOON + DAY, rrule="FREQ=WEEKLY"))
    assert await spans(db) == []
    assert await fetch_row(db, "SELECT due_at FROM sla_corrections") == (NOON + DAY,)


async def test_a_correction_changes_figures_until_it_is_withdrawn(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db, failed=range(31, 37))
    reporter = await create_user(db, "reporter")

    async def has_counted(up: float, down: float) -> bool:
        seconds = (await api.get("/api/sla/services/shop"))["seconds"]
        return (seconds["up"], seconds["down"]) == (up, down)

    assert await has_counted(54 * 60, 360)
    created = await correct(api, reporter, body(NOON - 36 * MINUTE, 4 * MINUTE))
    await until(partial(has_counted, 58 * 60, 120))
    await api.http.post(f"{PATH}/{created['id']}/withdraw", headers=reporter.headers)
    await until(partial(has_counted, 54 * 60, 360))


async def test_corrections_are_filtered_by_service_period_and_withdrawal(api: Api, db: Db) -> None:
    await add_service(db, "shop", group_name="web", tags=["eu"])
    await add_service(db, "mail")
    admin = await create_user(db)
    for scope, subject in (
        ("service", "shop"),
        ("service", "mail"),
        ("tag", "eu"),
        ("tag", "us"),
        ("group", "web"),
        ("group", "eu"),
        ("everything", None),
    ):
        await correct(api, admin, body(scope=scope, subject=subject))
    await correct(api, admin, body(START + DAY, subject="mail", rrule="FREQ=DAILY;COUNT=2"))
    await db.execute("UPDATE services SET tags = '{us}' WHERE id = 'shop'")

    async def found(**query: Any) -> list[tuple[str, str | None]]:
        listed = await api.get(PATH, params=query, headers=admin.headers)
        return [(one["scope"], one["subject"]) for one in listed["corrections"]]

    of_shop = [("everything", None), ("group", "web"), ("tag", "eu"), ("service", "shop")]
    assert await found(service="shop") == of_shop
    assert await found(service="unknown") == [("everything", None)]
    mail = ("service", "mail")
    assert await found(**{"from": iso(START + HOUR)}) == [mail]
    assert await found(**{"from": iso(START + 2 * DAY), "to": iso(START + 2 * DAY + MINUTE)}) == [mail]
    assert await found(**{"from": iso(START + DAY + HOUR), "to": iso(START + 2 * DAY)}) == []
    assert len(await found(to=iso(START + MINUTE))) == 7
    assert await found(to=iso(START)) == []

    [of_mail, *_] = (await api.get(PATH, headers=admin.headers))["corrections"]
    await api.http.post(f"{PATH}/{of_mail['id']}/withdraw", headers=admin.headers)
    assert await found(withdrawn=True) == [mail]
    assert len(await found(withdrawn=False)) == 7
    assert len(await found()) == 8


async def test_the_list_has_pages_newest_first(api: Api, db: Db) -> None:
    admin = await create_user(db)
    everything: dict[str, Any] = {"scope": "everything", "subject": None}
    created = [await correct(api, admin, body(**everything, reason=f"Reason {n}")) for n in range(3)]
    listed = await api.get(PATH, params={"page": 2, "limit": 2}, headers=admin.headers)
    assert listed == {
        "corrections": [created[0]],
        "pagination": {"page": 2, "limit": 2, "total": 3, "totalPages": 2},
    }


@pytest.mark.parametrize(
    "query",
    [
        "from=yesterday",
        "from=2026-01-02T10:00:00",
        "to=1999-12-31T23:59:59Z",
        "from=2026-01-02T10:00:00Z&to=2026-01-02T10:00:00Z",
        "withdrawn=maybe",
        "service=%00",
        "page=0",
        "limit=101",
    ],
)
async def test_invalid_filters_are_refused_by_name(api: Api, db: Db, query: str) -> None:
    reporter = await create_user(db, "reporter")
    response = await api.http.get(f"{PATH}?{query}", headers=reporter.headers)
    assert (response.status_code, error_fields(response)) == (400, [query.partition("=")[0]])


async def test_invalid_corrections_are_refused_by_field(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    reporter = await create_user(db, "reporter")
    soon = datetime.now(UTC).replace(microsecond=0) + HOUR
    invalid: list[tuple[dict[str, Any], str]] = [
        ({"scope": "host"}, "scope"),
        ({"scope": "everything"}, "subject"),
        ({"scope": "tag", "subject": None}, "subject"),
        ({"subject": None}, "subject"),
        ({"subject": ""}, "subject"),
        ({"subject": "nothing"}, "subject"),
        ({"scope": "group", "subject": "x" * 101}, "subject"),
        ({"scope": "group", "subject": " "}, "subject"),
        ({"scope": "tag", "subject": "a\x00b"}, "subject"),
        ({"effect": "degraded"}, "effect"),
        ({"category": "weather"}, "category"),
        ({"reason": ""}, "reason"),
        ({"reason": " \n"}, "reason"),
        ({"reason": "a\x00b"}, "reason"),
        ({"reason": "x" * 2001}, "reason"),
        ({"startsAt": "yesterday"}, "startsAt"),
        ({"startsAt": "2026-01-02T10:00:00"}, "startsAt"),
        ({"startsAt": "1999-12-31T23:59:59Z"}, "startsAt"),
        ({"startsAt": "0001-01-01T00:00:00+14:00"}, "startsAt"),
        ({"startsAt": iso(soon), "endsAt": iso(soon + HOUR)}, "startsAt"),
        ({"startsAt": iso(soon), "endsAt": iso(soon + HOUR), "rrule": "FREQ=DAILY;COUNT=1"}, "startsAt"),
        ({"endsAt": iso(START)}, "endsAt"),
        ({"endsAt": iso(START - HOUR)}, "endsAt"),
        ({"endsAt": iso(START + 366 * DAY + MINUTE)}, "endsAt"),
        ({"endsAt": "2101-01-01T00:00:00Z"}, "endsAt"),
        ({"endsAt": "9999-12-31T23:59:59-12:00"}, "endsAt"),
        ({"rrule": ""}, "rrule"),
        ({"rrule": "weekly"}, "rrule"),
        ({"rrule": "FREQ=SECONDLY"}, "rrule"),
        ({"rrule": "FREQ=DAILY;BYHOUR=9"}, "rrule"),
        ({"rrule": "FREQ=DAILY;UNTIL=20200101"}, "startsAt"),
        ({"rrule": "FREQ=DAILY", "endsAt": iso(START + DAY + HOUR)}, "endsAt"),
        ({"timeZone": "Mars/Olympus"}, "timeZone"),
        ({"timeZone": "localtime"}, "timeZone"),
        ({"timeZone": "a\x00b"}, "timeZone"),
        ({"author": "me"}, "author"),
    ]
    for fields, field in invalid:
        response = await api.http.post(PATH, json=body() | fields, headers=reporter.headers)
        assert response.status_code == 400, (fields, response.text)
        assert error_fields(response) == [field], (fields, response.text)
    assert await fetch_row(db, "SELECT count(*) FROM sla_corrections") == (0,)
    await correct(api, reporter, body(length=366 * DAY))


async def test_the_past_of_a_deleted_service_can_be_corrected(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    reporter = await create_user(db, "reporter")
    await db.execute("DELETE FROM services WHERE id = 'shop'")
    assert (await correct(api, reporter, body()))["subject"] == "shop"


async def test_a_rule_of_a_hundred_years_is_stored(api: Api, db: Db) -> None:
    reporter = await create_user(db, "reporter")
    start = datetime(2000, 1, 1, 10, tzinfo=UTC)
    rule: dict[str, Any] = {"scope": "everything", "subject": None, "rrule": "FREQ=DAILY;UNTIL=21001231"}
    await correct(api, reporter, body(start, **rule))
    days = (datetime(2101, 1, 1, 10, tzinfo=UTC) - start).days
    assert await fetch_row(db, "SELECT count(*) FROM sla_correction_spans") == (days,)


async def test_the_audit_log_lists_corrections_and_withdrawals(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    admin = await create_user(db)
    created = await correct(api, admin, body())
    await api.http.post(f"{PATH}/{created['id']}/withdraw", headers=admin.headers)
    log = await api.get("/api/audit", params={"objectType": "correction"}, headers=admin.headers)
    withdrawal, creation = log["entries"]
    assert [(one["action"], one["objectId"]) for one in log["entries"]] == [
        ("update", created["id"]),
        ("create", created["id"]),
    ]
    assert (creation["actor"]["name"], creation["after"]["reason"]) == (admin.username, body()["reason"])
    assert set(withdrawal["after"]) == {"withdrawn_at", "withdrawn_by"}
    page = await (await visitor(api, admin)).get("/console/audit?objectType=correction")
    assert len(re.findall(r"SLA correction\b", page.text)) == 3  # the filter and both entries
