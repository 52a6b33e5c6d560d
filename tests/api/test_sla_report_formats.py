"""GET /api/sla/report in each format has the figures of sla_levels(); the headers of the responses; 503."""

import csv
import io
from typing import Any

import anyio
import openpyxl
import pypdf
import pytest

from sla_monitor.reports.formats import FORMATS, MEDIA_TYPES
from sla_monitor.reports.rendering import AT_ONCE, MOST_WAITING
from tests.api.conftest import Api, add_service, create_user
from tests.api.people import Db
from tests.api.test_sla_figures import MINUTE, NOON, add_policy, watch
from tests.api.test_sla_report import NOVEMBER, correct
from tests.reports import HOSTILE

LEVELS = (
    "SELECT service_id, uptime::float8, down_seconds::float8, left_seconds::float8 "
    "FROM sla_levels(ARRAY(SELECT id FROM services), '2026-11-01', '2026-11-30', present()) ORDER BY service_id"
)


async def fill(db: Db) -> list[tuple[Any, ...]]:
    """Adds services with the names of HOSTILE, and returns their levels."""
    await add_policy(db, name="Gold")
    await watch(db, failed=range(31, 38), slow=range(5, 8))
    for number, name in enumerate(HOSTILE):
        await add_service(db, f"hostile-{number}", name=name)
    await correct(db, **{"reason": HOSTILE[0], "from": NOON - 50 * MINUTE, "to": NOON - 45 * MINUTE})
    return await (await db.execute(LEVELS)).fetchall()


async def get(api: Api, form: str, query: str = "", **options: Any) -> bytes:
    response = await api.http.get(f"{NOVEMBER}&format={form}{query}", **options)
    assert response.status_code == 200, response.text
    return response.content


async def test_every_format_has_the_figures_of_sla_levels(api: Api, db: Db) -> None:
    levels = await fill(db)
    [(_, uptime, down, left)] = [row for row in levels if row[0] == "shop"]
    assert down > 0
    rows = list(csv.DictReader(io.StringIO((await get(api, "csv")).decode(), newline="")))
    found = [
        (row["service_id"], *(float(row[name]) if row[name] else None for name in ("uptime_percent",)))
        for row in sorted(rows, key=lambda row: row["service_id"])
    ]
    assert found == [(row[0], row[1]) for row in levels]
    [shop] = [row for row in rows if row["service_id"] == "shop"]
    assert (float(shop["down_seconds"]), float(shop["budget_left_seconds"])) == (down, left)

    sheet = openpyxl.load_workbook(io.BytesIO(await get(api, "xlsx")))["Services"]
    heads, *cells = sheet.iter_rows(values_only=True)
    [shop] = [row for line in cells if (row := dict(zip(heads, line, strict=True)))["service_id"] == "shop"]
    assert (shop["down_seconds"], shop["budget_left_seconds"]) == (down, pytest.approx(left))
    assert 100 * shop["uptime_percent"] == pytest.approx(uptime)

    shown = (await get(api, "html")).decode()
    for value in (uptime, down, left):
        assert f'<data value="{value}">' in shown
    text = f"{int(uptime * 100) / 100:.2f}%"
    assert text in shown
    pages = pypdf.PdfReader(io.BytesIO(await get(api, "pdf"))).pages
    assert text in "".join(page.extract_text() for page in pages)


@pytest.mark.one_engine
async def test_texts_of_users_are_escaped_in_every_format(api: Api, db: Db) -> None:
    await fill(db)
    viewer = await create_user(db, "viewer")
    for language in ("en", "ko"):
        shown = (await get(api, "html", f"&lang={language}", headers=viewer.headers)).decode()
        assert "<script>" not in shown and "&lt;script&gt;" in shown
        assert f'<html lang="{language}">' in shown
        pages = pypdf.PdfReader(io.BytesIO(await get(api, "pdf", f"&lang={language}"))).pages
        text = "".join("".join(page.extract_text().split()) for page in pages).replace("\u200b", "")
        assert '#read("/etc/passwd")' in text and "결제서비스" in text and "root:" not in text
    book = openpyxl.load_workbook(io.BytesIO(await get(api, "xlsx", headers=viewer.headers)))
    assert {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row} <= {"s", "n", "b", "d"}


@pytest.mark.one_engine
async def test_each_format_has_its_headers_and_an_etag(api: Api, db: Db) -> None:
    await fill(db)
    tags = set()
    for form in FORMATS:
        response = await api.http.get(f"{NOVEMBER}&format={form}")
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].partition(";")[0] == MEDIA_TYPES[form]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "script-src" not in response.headers["content-security-policy"]
        assert "default-src 'none'" in response.headers["content-security-policy"]
        name = f'filename="sla-2026-11-01-2026-11-30.{form}"'
        assert response.headers.get("content-disposition", name).endswith(name)
        tags.add(tag := response.headers["etag"])
        known = await api.http.get(f"{NOVEMBER}&format={form}", headers={"If-None-Match": tag})
        assert known.status_code == 304
    assert len(tags) == len(FORMATS)
    viewer = await create_user(db, "viewer")
    own = await api.http.get(f"{NOVEMBER}&format=pdf", headers=viewer.headers)
    assert own.headers["etag"] not in tags
    again = await api.http.get(
        f"{NOVEMBER}&format=pdf", headers=viewer.headers | {"If-None-Match": own.headers["etag"]}
    )
    assert again.status_code == 304


@pytest.mark.one_engine
async def test_it_is_503_while_too_many_reports_are_rendered(api: Api, db: Db) -> None:
    await fill(db)
    viewer = await create_user(db, "viewer")  # the responses for a user are not cached
    statuses: list[int] = []
    refused: list[Any] = []

    async def request() -> None:
        response = await api.http.get(f"{NOVEMBER}&format=html", headers=viewer.headers)
        statuses.append(response.status_code)
        if response.status_code == 503:
            refused.append((response.json()["reason"], response.headers["retry-after"]))

    async with anyio.create_task_group() as tasks:
        for _ in range(4 * (AT_ONCE + MOST_WAITING)):
            tasks.start_soon(request)
    assert set(statuses) <= {200, 503} and statuses.count(200) >= 1
    assert ("renderer_busy", "2") in refused
    assert {reason for reason, _ in refused} <= {"renderer_busy", "rendering_failed", "too_slow"}
