"""Error pages: they show how long to wait, and no figures or times."""

from datetime import timedelta

import pytest

from sla_monitor.settings.values import Limit
from tests.api.conftest import Api, running_api
from tests.api.relay import relay_before

HTML = {"accept": "text/html"}


async def get(api: Api, path: str, language: str = "en") -> tuple[int, str, int]:
    """Returns the status, the text and the seconds of Retry-After."""
    response = await api.http.get(path, headers=HTML | {"accept-language": language})
    return response.status_code, response.text, int(response.headers.get("retry-after", "0"))


@pytest.mark.parametrize(("language", "text"), [("en", "Please try again in {} min"), ("ko", "{}분")])
async def test_the_page_of_a_429_shows_how_long_to_wait(any_database: str, language: str, text: str) -> None:
    async with running_api(any_database, rate_limit_pages=Limit(1, timedelta(minutes=20))) as api:
        await get(api, "/history")
        status, page, seconds = await get(api, "/uptime", language)
    assert status == 429
    assert 600 < seconds <= 1200
    assert text.format(seconds // 60) in page


async def test_an_error_page_has_no_figures_and_no_time(any_database: str) -> None:
    async with relay_before(any_database) as relay, running_api(relay.url) as api:
        relay.cut()
        status, page, seconds = await get(api, "/history")
        missing, missing_page, _ = await get(api, "/none")
    assert (status, seconds > 0, missing) == (503, True, 404)
    for text in (page, missing_page):
        assert "These are figures from" not in text
        assert "As of" not in text
        assert "<time" not in text
        assert "data-service" not in text
    assert "there is no earlier version of this page" in page
