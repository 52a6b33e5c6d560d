"""The limits of login attempts: per address, per name, and under concurrency."""

from ipaddress import ip_network
from typing import Any

import anyio
import psycopg
import pytest

from api.auth.passwords import Passwords
from api.rest.errors import ApiError
from sla_monitor.settings.values import Limit
from tests.api.accounts import MINUTES, PASSWORD, WRONG, add_user, assert_unauthorized, audited, log_in, logged_in
from tests.api.conftest import running_api

Db = psycopg.AsyncConnection[Any]
PROXY: dict[str, Any] = {"trusted_proxies": (ip_network("127.0.0.0/8"),)}

pytestmark = [pytest.mark.one_engine, pytest.mark.usefixtures("cheap")]


async def test_attempts_of_an_address_are_limited(database: str, db: Db) -> None:
    await add_user(db)
    async with running_api(database, rate_limit_login=Limit(5, MINUTES)) as api:
        for _ in range(5):
            assert_unauthorized(await log_in(api, password=WRONG))
        response = await log_in(api)
        assert (response.status_code, response.json()["code"]) == (429, "RATE_LIMITED")
        assert 0 < int(response.headers["retry-after"]) <= 900
        assert (response.headers["ratelimit-limit"], response.headers["ratelimit-remaining"]) == ("5", "0")
    assert len(await audited(db, "login-failed")) == 5


async def test_concurrent_attempts_do_not_exceed_the_limit(database: str, db: Db) -> None:
    await add_user(db)
    statuses: list[int] = []
    async with running_api(database, rate_limit_login=Limit(5, MINUTES)) as api:

        async def guess(number: int) -> None:
            statuses.append((await log_in(api, password=f"guess number {number}")).status_code)

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(guess, number)
    assert sorted(statuses) == 5 * [401] + 45 * [429]


async def test_successful_logins_do_not_count(database: str, db: Db) -> None:
    await add_user(db)
    async with running_api(database, rate_limit_login=Limit(2, MINUTES)) as api:
        assert_unauthorized(await log_in(api, password=WRONG))
        for _ in range(4):
            await logged_in(api)
        assert_unauthorized(await log_in(api, password=WRONG))
        assert (await log_in(api)).status_code == 429


async def test_the_correct_password_of_a_disabled_user_counts_as_an_attempt(database: str, db: Db) -> None:
    """Otherwise an attacker would recognise the correct password: its attempts would not be limited."""
    await add_user(db)
    await db.execute("UPDATE users SET active = false")
    async with running_api(database, rate_limit_login=Limit(1, MINUTES)) as api:
        assert_unauthorized(await log_in(api))
        assert (await log_in(api)).status_code == 429


@pytest.mark.parametrize("name", ["kim", "nobody"])
async def test_unknown_addresses_share_a_limit_for_each_name(database: str, db: Db, name: str) -> None:
    """This includes names that do not exist. Otherwise the limit would reveal which names exist."""
    await add_user(db)
    async with running_api(database, rate_limit_login=Limit(1, MINUTES), **PROXY) as api:
        for number in range(10):
            assert_unauthorized(await log_in(api, name, WRONG, f"192.0.2.{number}"))
        assert (await log_in(api, name, PASSWORD, "192.0.2.99")).status_code == 429


async def test_attempts_of_unknown_addresses_do_not_lock_the_user_out(database: str, db: Db) -> None:
    await add_user(db)
    async with running_api(database, rate_limit_login=Limit(1, MINUTES), **PROXY) as api:
        await logged_in(api, address="198.51.100.7")
        await logged_in(api, address="2001:db8:1:2::3")
        for number in range(12):
            await log_in(api, "kim", WRONG, f"192.0.2.{number}")
        assert (await log_in(api, address="192.0.2.99")).status_code == 429
        await logged_in(api, address="198.51.100.7")
        await logged_in(api, address="2001:db8:1:2:ffff::")
        assert (await log_in(api, address="2001:db8:1:3::3")).status_code == 429


@pytest.mark.parametrize("tried", ["kim", "kim@example.com", "nobody", "nobody@example.com"])
async def test_a_limit_reveals_nothing_about_accounts(database: str, db: Db, tried: str) -> None:
    """The limit applies only to the name in the request, in upper or lower case. It reveals neither whether the name
    exists nor which e-mail address belongs to it."""
    await add_user(db)
    names = ["kim", "kim@example.com", "nobody", "nobody@example.com"]
    async with running_api(database, rate_limit_login=Limit(1, MINUTES), **PROXY) as api:
        for number in range(10):
            spelling = (tried, tried.upper(), tried.title())[number % 3]
            assert_unauthorized(await log_in(api, spelling, WRONG, f"192.0.2.{number}"))
        responses = {
            name: (await log_in(api, name, WRONG, f"198.51.100.{number}")).status_code
            for number, name in enumerate(names)
        }
        assert responses == {name: 429 if name == tried else 401 for name in names}
        assert (await log_in(api, tried.upper(), PASSWORD, "192.0.2.99")).status_code == 429


async def test_every_spelling_of_a_name_shares_its_limit(database: str, db: Db) -> None:
    """Case is ignored as in the search for the user: the Kelvin sign is an upper-case k."""
    await add_user(db)
    [same_in_lower_case] = await (await db.execute("SELECT lower('\u212aim') = 'kim'")).fetchone() or [None]
    async with running_api(database, rate_limit_login=Limit(1, MINUTES), **PROXY) as api:
        for number in range(10):
            assert_unauthorized(await log_in(api, "kim", WRONG, f"192.0.2.{number}"))
        response = await log_in(api, "\u212aim", WRONG, "192.0.2.99")
        assert response.status_code == (429 if same_in_lower_case else 401)


async def test_an_attempt_that_was_not_verified_does_not_count(
    database: str, db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_user(db)

    async def busy(*_: object) -> bool:
        raise ApiError(503, "too_many_logins", headers={"Retry-After": "3"})

    async with running_api(database, rate_limit_login=Limit(1, MINUTES)) as api:
        monkeypatch.setattr(Passwords, "verify", busy)
        for _ in range(3):
            response = await log_in(api)
            assert (response.status_code, response.headers["retry-after"]) == (503, "3")
        monkeypatch.undo()
        assert_unauthorized(await log_in(api, password=WRONG))
