"""Short texts that are built to be slow or large: they neither block other requests nor exhaust the memory."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import psycopg
import pytest

from api.console.maintenance_form import Filled
from api.console.repetition import Repetition
from api.console.word_diff import MAX_WORDS, Piece, side_by_side
from api.pages.forms import _parts
from api.pages.markdown import cache, markdown
from api.rest.errors import ApiError
from sla_monitor.texts.languages import texts
from tests.api.conftest import Api, add_service, create_user, now, running_api, until
from tests.api.incidents import add_update, create
from tests.api.relay import relay_before

BOUNDARY = "B"


@pytest.fixture
async def any_api(any_database: str) -> AsyncIterator[Api]:
    async with running_api(any_database) as running:
        yield running


def multipart(charset: str, text: str) -> bytes:
    head = f'--B\r\nContent-Disposition: form-data; name="username"\r\nContent-Type: text/plain; charset={charset}'
    return f"{head}\r\n\r\n{text}\r\n--B--\r\n".encode()


@pytest.mark.parametrize("charset", ["punycode", "nonsense", "utf-16", "idna"])
async def test_a_form_is_read_as_utf_8_whatever_charset_it_declares(any_api: Api, charset: str) -> None:
    """Python's punycode codec takes seconds for 255 kB of a hostile text."""
    text = "2f32g" + "a" * 1000
    body = multipart(charset, text)
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    assert _parts(body, kind) == [("username", text)]
    headers = {"Content-Type": kind, "Origin": str(any_api.http.base_url)}
    assert (await any_api.http.post("/login", content=body, headers=headers)).status_code == 401


async def test_a_malformed_form_is_a_400(any_api: Api) -> None:
    for kind, body in (
        (f"multipart/form-data; boundary={BOUNDARY}", b"--B\r\nContent-Disposition: form-data"),
        (f"multipart/form-data; boundary={BOUNDARY}", multipart("utf-8", "x").replace(b"x\r\n", b"\xff\r\n")),
        ("multipart/form-data", multipart("utf-8", "x")),
        ("application/x-www-form-urlencoded", b"username=%ff"),
        ("application/x-www-form-urlencoded", b"&".join(b"a=1" for _ in range(2000))),
    ):
        headers = {"Content-Type": kind, "Origin": str(any_api.http.base_url)}
        response = await any_api.http.post("/login", content=body, headers=headers)
        assert response.status_code == 400, (kind, body[:60])


def test_texts_with_cubic_comparison_time_are_not_compared() -> None:
    one, other = "." * 2000, ".," * 1000
    assert side_by_side(one, other) == ([Piece(one, True)], [Piece(other, True)])


def test_a_change_in_a_long_text_is_still_found() -> None:
    before = "word " * MAX_WORDS
    left, right = side_by_side(before + "old " + before, before + "new " + before)
    assert [piece.text for piece in left if piece.only_here] == ["old"]
    assert [piece.text for piece in right if piece.only_here] == ["new"]
    assert "".join(piece.text for piece in left) == before + "old " + before


def test_link_references_are_not_expanded() -> None:
    text = "[a]: http://e/" + "x" * 2000 + "\n\n" + "[a] " * 500
    assert len(markdown(text)) < 2 * len(text)
    assert "<a " not in markdown(text)


@pytest.mark.parametrize("year", ["0001", "1969", "9999"])
@pytest.mark.parametrize("kind", ["daily", "never"])
def test_a_preview_of_a_distant_year_is_refused(year: str, kind: Any) -> None:
    filled = Filled(
        title="x",
        services=("shop",),
        time_zone="Asia/Seoul",
        starts_at=f"{year}-01-03T12:00",
        ends_at=f"{year}-01-03T13:00",
        repetition=Repetition(kind=kind),
    )
    with pytest.raises(ApiError) as refused:
        filled.ahead(texts("en", "UTC"), now())
    assert refused.value.status == 400


async def test_a_hidden_incident_is_in_no_stale_response(any_database: str) -> None:
    async with (
        await psycopg.AsyncConnection.connect(any_database, autocommit=True) as db,
        relay_before(any_database) as relay,
        running_api(relay.url) as api,
    ):
        await add_service(db, "shop")
        admin = await create_user(db)
        incident = {"title": "Published too early", "severity": "low", "priority": "P3", "affectedServices": ["shop"]}
        created = (await api.http.post("/api/incidents", json=incident, headers=admin.headers)).json()["incident"]
        path = f"/incidents/{created['id']}"
        assert (await api.http.get(path)).status_code == 200
        hidden = {"public": False}
        assert (await api.http.put(f"/api{path}", json=hidden, headers=admin.headers)).status_code == 200

        async def is_hidden() -> bool:
            return (await api.http.get("/feed.json")).text.count("Published too early") == 0

        await until(is_hidden)
        relay.cut()

        async def is_away() -> bool:
            try:
                return (await api.http.get("/ready")).status_code == 503
            except httpx.TransportError:
                return False

        await until(is_away)
        assert (await api.http.get(path)).status_code == 503


async def test_other_requests_are_served_while_a_page_of_slow_texts_is_rendered(any_database: str) -> None:
    """Without a bound for the rendering, such a page takes 25 to 42 s, and /health does not respond until it is
    complete."""
    async with (
        await psycopg.AsyncConnection.connect(any_database, autocommit=True) as db,
        running_api(any_database) as api,
    ):
        admin = await create_user(db)
        incident = await create(api, admin)
        for number in range(12):
            await add_update(api, admin, incident["id"], "identified", f"{number} " + ("*_", "![")[number % 2] * 9_990)
        for path in (f"/incidents/{incident['id']}", "/history", "/feed.atom"):
            cache.clear()
            pages: list[httpx.Response] = []
            responses = 0

            async def get_page(path: str = path, pages: list[httpx.Response] = pages) -> None:
                pages.append(await api.http.get(path, timeout=60))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(get_page)
                while not pages:
                    assert (await api.http.get("/health")).status_code == 200
                    responses += 1
            assert pages[0].status_code == 200 and "![![" in pages[0].text, path
            assert responses >= 5, path
