"""What REST finds wrong is said in the reader's language."""

import pytest

from api.pages.problems import KEYS, told
from sla_monitor.texts.languages import LANGUAGES, texts
from tests.api.conftest import Api, someone
from tests.api.people import Db
from tests.api.visitors import visitor

pytestmark = pytest.mark.one_engine


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Expected `str` of length >= 1", "비워 둘 수 없습니다"),
        ("Expected `str` matching regex '\\\\S'", "비워 둘 수 없습니다"),
        ("Expected `str` of length <= 255", "최대 255자"),
        ("Expected `array` of length <= 50", "최대 50개"),
        (
            "BYMONTHDAY does not go with FREQ=WEEKLY",
            "이해할 수 없는 규칙입니다(BYMONTHDAY does not go with FREQ=WEEKLY)",
        ),
        (
            "BYHOUR must be 5, as in startsAt on the clock of timeZone, or be left out",
            "이해할 수 없는 규칙입니다(BYHOUR must be 5,",
        ),
        ("must not be longer than intervalSeconds", "주기보다 길 수 없습니다"),
        ("a day such as 2026-11-23 or a time with its zone", "올바른 날짜가 아닙니다"),
        ("Expected `int` <= 60000", "60000 이하여야 합니다"),
        ("Expected `int`, got `str`", "정수여야 합니다"),
        ("must be at most 30 days after startsAt", "시작 후 30일 이내여야 합니다"),
        ("This service is declared in services.toml; change it there", "services.toml에 선언되어"),
        ("must not have more than 32 steps", "최대 32단계"),
        ("something that nobody has foreseen", "something that nobody has foreseen"),
    ],
)
def test_messages_of_rest_in_korean(message: str, said: str) -> None:
    assert said in told(message, texts("ko", "UTC"))


def test_every_message_has_its_text() -> None:
    for language in LANGUAGES:
        known = texts(language, "UTC").section("problems")
        assert set(KEYS.values()) == set(known)


async def test_a_form_in_korean_says_what_is_wrong_in_korean(api: Api, db: Db) -> None:
    """Nothing of what these forms are refused for is in English."""
    admin = await visitor(api, await someone(db, "admin"), "ko")
    wrong = {
        "id": "A B",
        "name": "",
        "endpointUrl": "ftp://x",
        "timeoutMs": "x",
        "retries": "9",
        "jsonPath": "$..a",
        "headers": "Host: x\na b: 1",
    }
    for field, value in wrong.items():
        new = {"id": "shop", "name": "Shop", "endpointUrl": "http://shop.example/", field: value}
        page = await admin.fill("/console/services/new", "/console/services", **new)
        told_so = page.text.partition(f'id="problem-{field}">')[2].partition("<")[0]
        assert told_so and not told_so.isascii(), f"{field}: {told_so}"
