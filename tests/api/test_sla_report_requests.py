"""GET /api/sla/report: scopes, periods, limits, caching and invalid requests."""

from datetime import date
from functools import partial

import pytest

from tests.api.conftest import Api, add_service, create_user, until, until_events_processed
from tests.api.incidents import error_fields
from tests.api.people import Db
from tests.api.test_sla_figures import add_policy, watch
from tests.api.test_sla_report import NOVEMBER, PATH, correct

pytestmark = pytest.mark.one_engine


async def test_services_groups_and_tags_select_services(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db)
    for service in ("mail", "wiki", "chat"):
        await add_service(db, service)
    await db.execute("UPDATE services SET group_name = 'Office' WHERE id IN ('mail', 'wiki')")
    await db.execute("UPDATE services SET tags = '{beta}' WHERE id = 'chat'")

    async def selects(query: str, *expected: str) -> bool:
        report = await api.get(f"{NOVEMBER}&{query}")
        return {service["id"] for service in report["services"]} == set(expected)

    await until(partial(selects, "group=Office", "mail", "wiki"))
    assert await selects("service=shop&service=mail", "shop", "mail")
    assert await selects("service=shop&tag=beta", "shop", "chat")
    report = await api.get(f"{NOVEMBER}&group=Office")
    assert [group["name"] for group in report["groups"]] == ["Office"]
    assert (await api.get(f"{NOVEMBER}&service=shop"))["groups"] == []


async def test_periods_are_months_quarters_years_and_days(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db)
    for query, first, last, title in (
        ("", "2026-11-01", "2026-11-30", "November 2026"),
        ("?period=2026-Q4", "2026-10-01", "2026-12-31", "Q4 2026"),
        ("?period=2026", "2026-01-01", "2026-12-31", "2026"),
        ("?from=2026-11-03&to=2026-11-20", "2026-11-03", "2026-11-20", "Nov 3, 2026 – Nov 20, 2026"),
        ("?period=2026-Q4&lang=ko", "2026-10-01", "2026-12-31", "2026년 4분기"),
    ):
        report = await api.get(PATH + query)
        assert (report["from"], report["to"]) == (first, last)
        assert report["title"].endswith(f": {title}"), query
        [service] = report["services"]
        assert len(service["days"]) == (date.fromisoformat(last) - date.fromisoformat(first)).days + 1


async def test_invalid_requests_name_the_parameter(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db)
    for query, field, code in (
        ("period=2026-13", "period", "sla_period"),
        ("period=2026-10", "period", "before_first_checks"),
        ("period=2025", "period", "before_first_checks"),
        ("from=2026-10-01&to=2026-11-14", "to", "before_first_checks"),
        ("period=2026-11&from=2026-11-01&to=2026-11-02", "period", "without_bounds"),
        ("from=2026-11-01", "to", "required"),
        ("to=2026-11-01", "from", "required"),
        ("from=2026-11-31&to=2026-12-01", "from", "day"),
        ("from=20261101&to=2026-12-01", "from", "day"),
        ("from=1999-11-01&to=2026-12-01", "from", "years"),
        ("from=2026-12-02&to=2026-12-01", "from", "before_to"),
        ("from=2026-11-01&to=2036-11-01", "to", "report_years"),
        ("service=none", "service", "unknown_service"),
        ("service=shop&service=none", "service", "unknown_service"),
        ("group=None", "group", "unknown_group"),
        ("tag=none", "tag", "unknown_tag"),
        ("tag=%00", "tag", "unknown_tag"),
        ("&".join(["service=shop"] * 51), "service", "too_many"),
        ("format=docx", "format", "choice"),
        ("lang=fr", "lang", "choice"),
        ("asOf=yesterday", "asOf", "time"),
    ):
        response = await api.http.get(f"{PATH}?{query}")
        assert error_fields(response) == [field], query
        assert response.json()["details"][0]["code"] == code, query
    assert (await api.http.get(f"{PATH}?from=2026-11-01&to=2036-10-31")).status_code == 200


async def test_large_reports_are_refused(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db)
    await db.execute(
        "INSERT INTO services (id, name, check_config) SELECT 's' || n, 's' || n, check_config "
        "FROM generate_series(1, 1000) AS n, services WHERE id = 'shop'"
    )

    async def is_refused() -> bool:
        response = await api.http.get(f"{PATH}?from=2026-11-15&to=2026-11-15")
        return response.status_code == 400

    await until(is_refused)
    response = await api.http.get(NOVEMBER)
    assert error_fields(response) == ["period"]
    assert response.json()["details"][0]["parameters"] == {"services": 1000, "service_days": 50000}
    await db.execute("UPDATE services SET public = false WHERE id = 's1'")
    await until(partial(_has_services, api, 1000))
    response = await api.http.get(f"{PATH}?period=2026-Q4")
    assert error_fields(response) == ["period"]


async def _has_services(api: Api, expected: int) -> bool:
    response = await api.http.get(NOVEMBER)
    return response.status_code == 200 and response.json()["summary"]["services"] == expected


async def test_a_report_is_cached_by_its_language_and_has_an_etag(api: Api, db: Db) -> None:
    await add_policy(db)
    await watch(db)
    await until_events_processed(api, db)
    first = await api.http.get(NOVEMBER, headers={"Accept-Language": "ko"})
    assert first.json()["title"] == "서비스 수준 보고서: 2026년 11월"
    assert first.headers["vary"] == "Origin, Authorization, Accept-Language"
    english = await api.http.get(NOVEMBER)
    assert english.json()["title"] == "Service level report: November 2026"
    again = await api.http.get(NOVEMBER, headers={"Accept-Language": "ko"})
    assert (again.headers["x-cache"], again.content) == ("HIT", first.content)
    tag = first.headers["etag"]
    for headers in ({}, (await create_user(db, "viewer")).headers):
        got = await api.http.get(NOVEMBER, headers=headers)
        known = await api.http.get(NOVEMBER, headers=headers | {"If-None-Match": got.headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")
        other = await api.http.get(NOVEMBER, headers=headers | {"If-None-Match": tag})
        assert other.status_code == 200
    await correct(db)

    async def lists_the_correction() -> bool:
        return len((await api.get(NOVEMBER))["corrections"]) == 1

    await until(lists_the_correction)


async def test_a_report_without_services_and_policies_says_so(api: Api, db: Db) -> None:
    report = await api.get(f"{PATH}?period=2026-11")
    assert (report["services"], report["summary"]["services"]) == ([], 0)
    await watch(db)

    async def has_no_policy() -> bool:
        summary = (await api.get(NOVEMBER))["summary"]
        return bool(summary["withoutPolicy"] == [{"id": "shop", "name": "Shop"}])

    await until(has_no_policy)
    for form in ("csv", "xlsx", "html", "pdf"):
        assert (await api.http.get(f"{NOVEMBER}&format={form}")).status_code == 200, form
