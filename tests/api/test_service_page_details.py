"""/services/{id} without JavaScript: outages, the latest checks, times, and the certificate."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from api.pages.service import Service
from tests.api.conftest import Api, Check, add_service, create_user, now, record
from tests.api.service_pages import HTML, part, shown

pytestmark = pytest.mark.one_day

Db = psycopg.AsyncConnection[Any]


async def test_outages_are_listed_in_pages_and_only_reporters_see_messages(api: Api, db: Db) -> None:
    await add_service(db, "shop", interval_seconds=60)
    failures = [Check("shop", now() - timedelta(minutes=2 * n), ms=None) for n in range(1, 24)]
    successes = [Check("shop", failure.at + timedelta(minutes=1)) for failure in failures[1:]]
    await record(db, [*failures, *successes])
    await db.execute("UPDATE outages SET error_message = 'secret-db refused <b>'")
    first = await shown(api, "/services/shop")
    assert part(first, "outages").count("Unexpected HTTP status") == 10
    assert "ongoing" in part(first, "outages")
    assert 'href="/services/shop?page=2"' in first
    last = await shown(api, "/services/shop?page=3")
    assert part(last, "outages").count("Unexpected HTTP status") == 3
    assert "ongoing" not in part(last, "outages")
    for number, status in (("4", 404), ("0", 400), ("x", 400)):
        assert (await api.http.get(f"/services/shop?page={number}", headers=HTML)).status_code == status
    assert "secret-db" not in first
    assert "secret-db refused <b>" in part(
        await shown(api, "/services/shop", await create_user(db, "reporter")), "outages"
    )
    assert "secret-db" not in await shown(api, "/services/shop", await create_user(db, "viewer"))


async def test_only_reporters_see_the_latest_checks(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    await record(db, [Check("shop", now() - timedelta(minutes=n), ms=None if n == 3 else 90.0) for n in range(1, 61)])
    await db.execute(
        "UPDATE checks SET error_message = '<img src=x>', dns_ms = 4.5, attempts = 3 "
        "WHERE service_id = 'shop' AND NOT success"
    )
    viewer, reporter = await create_user(db, "viewer"), await create_user(db, "reporter")
    for other in (None, viewer):
        page = await shown(api, "/services/shop", other)
        assert 'id="checks"' not in page
        assert "img src=x" not in page
    page = await shown(api, "/services/shop", reporter)
    checks = part(page, "checks")
    assert checks.count("local") == 50
    assert "local Unexpected HTTP status <img src=x> 3 5.0 ms 4.5 ms – – –" in checks
    assert "<img src=x>" not in page


@pytest.mark.parametrize(
    ("left", "looks", "days"),
    [
        (timedelta(days=60), "operational", 60),
        (timedelta(days=30), "operational", 30),
        (timedelta(days=29, hours=23), "degraded", 29),
        (timedelta(days=7), "degraded", 7),
        (timedelta(days=6, hours=23), "outage", 6),
        (timedelta(hours=2), "outage", 0),
        (timedelta(hours=-2), "outage", -1),
    ],
)
def test_a_certificate_that_expires_soon_is_highlighted(left: timedelta, looks: str, days: int) -> None:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    service = Service("shop", "Shop", None, None, "operational", at, at, 60, at + left, "R3", True, True)
    certificate = service.certificate(at)
    assert certificate is not None
    assert (certificate.state, certificate.days) == (looks, days)


@pytest.mark.parametrize(("interval_s", "pattern"), [(10, r"\d\d:\d\d:\d\d"), (60, r"\d\d:\d\d")])
async def test_times_have_seconds_where_checks_are_less_than_a_minute_apart(
    api: Api, db: Db, interval_s: int, pattern: str
) -> None:
    await add_service(db, "shop", interval_seconds=interval_s, timeout_ms=1000)
    at = now() - timedelta(seconds=2 * interval_s)
    checks = [Check("shop", at + timedelta(seconds=n * interval_s), ms=None, interval_s=interval_s) for n in range(3)]
    await record(db, checks)
    page = await shown(api, "/services/shop", await create_user(db, "reporter"))
    for element in ("checks", "outages"):
        times = re.findall(r">([^<]*)</time>", page.partition(f'<section id="{element}"')[2].partition("</section>")[0])
        assert times
        assert all(re.search(rf" {pattern}$", time) for time in times), times
    assert re.search(rf"Last check \D+ \d+, \d+, {pattern} ", part(page, "head")), part(page, "head")


async def test_the_certificate_is_shown_if_there_is_one(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    await record(db, [Check("shop", now())])
    assert "Certificate" not in await shown(api, "/services/shop")
    await db.execute(
        "UPDATE latest_checks SET certificate_expires_at = now() + interval '5 days 1 hour', "
        "certificate_seen_at = now(), certificate_issuer = '<i>Authority'"
    )
    admin = await create_user(db)  # pages of users are not cached
    assert re.search(
        r"Certificate Expires in 5 days Valid until .* Issued by <i>Authority",
        part(await shown(api, "/services/shop", admin), "head"),
    )
