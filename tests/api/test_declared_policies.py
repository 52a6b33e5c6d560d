"""Files with SLA policies: a file is applied as a whole or not at all, can be applied again, and changes no past
figure."""

import logging
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from api.rest import declared_files
from api.rest.declared_files import ConflictError, DeclarationError
from api.sla.declared import apply
from api.sla.policy_files import MOST_PROBLEMS, read
from sql import Pool, open_pool
from tests.api.conftest import Api, User, add_service, create_user, running_api, until
from tests.api.people import Db
from tests.api.test_sla_policies import HOURS as WEEKDAYS
from tests.api.test_sla_policies import PATH, admin, change, create, send
from tests.sql.batches import set_clock

__all__ = ["admin"]

pytestmark = pytest.mark.one_engine

ALL = '[[policies]]\nscope = "everything"\nname = "Standard"\ntarget = 99.9\ntimeZone = "UTC"\n'
GOLD = ALL.replace('"everything"', '"tag"\nsubject = "gold"').replace("99.9", "99.99").replace("Standard", "Gold")
SHOP = ALL.replace('"everything"', '"service"\nsubject = "shop"').replace("Standard", "Shop")
HOURS = """serviceHours = [{ days = [1, 2], from = "08:00", until = "20:00" }]
responseTimeObjective = { ms = 500, share = 95 }
credits = [{ below = 99.9, credit = 10 }, { below = 99, credit = 25 }]
groupMethod = "mean"
"""


@pytest.fixture
async def pool(database: str) -> Any:
    async with open_pool(database, application="test") as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sla.toml"


def write(path: Path, text: str) -> None:
    path.write_text(text)


async def versions(db: Db) -> list[tuple[Any, ...]]:
    """The versions of all policies: subject, number, first day, whether ended, target, file."""
    cursor = await db.execute(
        "SELECT coalesce(subject, scope), version, valid_from, ended, target::float, declared_in FROM sla_policies"
        " JOIN sla_policy_versions ON policy_id = id ORDER BY 1, 2"
    )
    return await cursor.fetchall()


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("[[policies]", ["at line 1"]),
        ("policies = 5\n", ["only [[policies]] tables are allowed"]),
        ("[[policy]]\n", ["only [[policies]] tables are allowed"]),
        ("policies = [3]\n", ["policies[0]: must be an object"]),
        (ALL + "colour = 1\n", ["policies[0].colour: is not a known field"]),
        (
            ALL + GOLD.replace("99.99", "100.1"),
            ["policies[1].target: must be a percentage, greater than 0 and at most 100"],
        ),
        (ALL + "periods = 1\n" + GOLD + "period = 'rolling'\n", ["policies[0].periods: ", "policies[1].rollingDays: "]),
        (ALL + HOURS.replace("08:00", "20:00"), ["policies[0].serviceHours[0].until: "]),
        (ALL + "validFrom = 2026-02-30\n", ["Invalid date or datetime"]),
        (ALL + "validFrom = 1999-12-31\n", ["policies[0].validFrom: "]),
        (ALL.replace("UTC", "Mars/Olympus"), ["policies[0].timeZone: "]),
        (ALL + GOLD + ALL, ["policies[2].scope: policies[0] is for the same subject"]),
        (GOLD + ALL + GOLD, ["policies[2].subject: policies[0] is for the same subject"]),
        (ALL.replace('"Standard"', '"a\\nb\\u001b[31m"'), ["policies[0].name: "]),
        (ALL + '"a\\nb\\u001b[31m" = 1\n', ["policies[0].a b [31m: is not a known field"]),
    ],
)
def test_an_error_is_one_line_with_file_position_and_all_problems(path: Path, text: str, problems: list[str]) -> None:
    path.write_text(text)
    with pytest.raises(DeclarationError) as refused:
        read(path)
    line = str(refused.value)
    assert line.isprintable()
    assert line.startswith(f"{path}: ")
    assert [one for one in problems if one not in line] == [], line


def test_of_many_problems_the_first_ones_are_named(path: Path) -> None:
    path.write_text("".join(GOLD.replace("gold", f"t{n}") + "colour = 1\n" for n in range(MOST_PROBLEMS + 3)))
    with pytest.raises(DeclarationError, match=r"; and 3 more$") as refused:
        read(path)
    assert str(refused.value).count("is not a known field") == MOST_PROBLEMS


async def test_applying_a_file_again_adds_no_version_and_a_change_adds_one(
    db: Db, admin: User, pool: Pool, path: Path
) -> None:
    write(path, ALL + "validFrom = 2026-01-01\n" + HOURS + GOLD)
    assert await apply(path, pool) == [("everything", "applied"), ("tag gold", "applied")]
    first = [
        ("everything", 1, date(2026, 1, 1), False, 99.9, "sla.toml"),
        ("gold", 1, date(2026, 11, 16), False, 99.99, "sla.toml"),
    ]
    assert await versions(db) == first
    await set_clock(db, datetime(2026, 12, 24, 12, tzinfo=UTC))
    assert await apply(path, pool) == []
    assert await versions(db) == first
    write(path, ALL + "validFrom = 2026-01-01\n" + HOURS + GOLD.replace("99.99", "99.95"))
    assert await apply(path, pool) == [("tag gold", "applied")]
    assert await apply(path, pool) == []
    assert await versions(db) == [*first, ("gold", 2, date(2026, 12, 25), False, 99.95, "sla.toml")]


async def test_a_stated_day_is_kept_or_refused(db: Db, admin: User, pool: Pool, path: Path) -> None:
    write(path, ALL + "validFrom = 2026-01-01\n")
    await apply(path, pool)
    write(path, ALL.replace("99.9", "99.5") + "validFrom = 2026-01-01\n")
    with pytest.raises(ConflictError, match=r"policies\[0\]\.validFrom: must be 2026-11-16 or later"):
        await apply(path, pool)
    write(path, ALL.replace("99.9", "99.5") + 'validFrom = "2026-12-01"\n')
    assert await apply(path, pool) == [("everything", "applied")]
    assert await apply(path, pool) == []
    assert [row[1:3] for row in await versions(db)] == [(1, date(2026, 1, 1)), (2, date(2026, 12, 1))]


async def test_a_removed_policy_ends_tomorrow_and_is_released(
    api: Api, db: Db, admin: User, pool: Pool, path: Path
) -> None:
    write(path, ALL + "validFrom = 2026-01-01\n" + GOLD)
    await apply(path, pool)
    write(path, GOLD)
    assert await apply(path, pool) == [("everything", "released")]
    assert await apply(path, pool) == []
    assert (await versions(db))[:2] == [
        ("everything", 1, date(2026, 1, 1), False, 99.9, None),
        ("everything", 2, date(2026, 11, 16), True, 99.9, None),
    ]
    [_, everything] = (await api.get(PATH, headers=admin.headers))["policies"]
    assert (await send(api, admin, "PUT", f"{PATH}/{everything['id']}", {"target": 99})).status_code == 200
    write(path, ALL + GOLD)
    assert await apply(path, pool) == [("everything", "applied")]
    assert (await versions(db))[3] == ("everything", 4, date(2026, 11, 16), False, 99.9, "sla.toml")


async def test_a_file_takes_over_a_policy_of_rest_which_can_then_be_changed_only_there(
    api: Api, db: Db, admin: User, pool: Pool, path: Path
) -> None:
    policy = await create(api, admin, validFrom="2026-01-01", target=99.9)
    assert policy["declaredIn"] is None
    write(path, ALL)
    assert await apply(path, pool) == [("everything", "applied")]
    assert await apply(path, pool) == []
    assert [row[1:] for row in await versions(db)] == [(1, date(2026, 1, 1), False, 99.9, "sla.toml")]
    own = f"{PATH}/{policy['id']}"
    assert (await api.get(own, headers=admin.headers))["policy"]["declaredIn"] == "sla.toml"
    for method, body in (("PUT", {"target": 99}), ("DELETE", None)):
        refused = await send(api, admin, method, own, body)
        assert (refused.status_code, refused.json()["reason"]) == (409, "policy_declared")
        assert refused.json()["error"] == "This SLA policy is declared in sla.toml; change it there"
    assert len(await versions(db)) == 1


async def test_all_conflicts_are_named_and_nothing_is_stored(db: Db, admin: User, pool: Pool, path: Path) -> None:
    await add_service(db, "web", tags=["gold", "eu"])
    write(path, ALL)
    await apply(path, pool)
    before = await versions(db)
    write(path, SHOP + GOLD + 'holidayCalendar = "Mars"\n' + GOLD.replace("gold", "eu"))
    with pytest.raises(ConflictError) as refused:
        await apply(path, pool)
    assert str(refused.value) == (
        f"{path}: policies[0].subject: names an unknown service; "
        "policies[1].holidayCalendar: is not an existing holiday calendar"
    )
    write(path, GOLD + GOLD.replace("gold", "eu"))
    with pytest.raises(ConflictError, match=r"policies\[0\]: The service web has the tags gold and eu"):
        await apply(path, pool)
    assert await versions(db) == before
    write(path, GOLD)
    await apply(path, pool)
    write(path, GOLD.replace("gold", "eu"))  # the policy of the other tag ends first
    assert await apply(path, pool) == [("tag eu", "applied"), ("tag gold", "released")]


async def test_the_versions_of_a_file_name_it_as_author(api: Api, admin: User, pool: Pool, path: Path) -> None:
    write(path, ALL)
    await apply(path, pool)
    [policy] = (await api.get(PATH, headers=admin.headers))["policies"]
    assert policy["future"]["author"] == "sla.toml"


async def test_the_api_follows_the_file_and_waits_for_services(
    database: str, db: Db, path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("POLL_S", "STABLE_S", "RELEASE_S", "RETRY_S"):
        monkeypatch.setattr(declared_files, name, 0.05)
    write(path, SHOP)
    user = await create_user(db)
    async with running_api(database, sla_file=path) as api:

        async def names() -> list[str]:
            listed = await api.get(PATH, headers=user.headers)
            return [policy["subject"] for policy in listed["policies"]]

        async def has_logged() -> bool:
            return "names an unknown service" in caplog.text

        async def has_shop() -> bool:
            return await names() == ["shop"]

        async def has_both() -> bool:
            return await names() == ["shop", "gold"]

        with caplog.at_level(logging.ERROR):
            await until(has_logged)
        assert await names() == []
        await add_service(db, "shop")
        await until(has_shop)
        assert caplog.text.count("names an unknown service") == 1
        write(path, SHOP + GOLD)
        await until(has_both)


async def test_a_policy_is_returned_as_openslo(api: Api, admin: User, pool: Pool, tmp_path: Path) -> None:
    policy = await create(api, admin, validFrom="2026-05-06", serviceHours=WEEKDAYS, degradedWeight=0.5)
    path = f"{PATH}/{policy['id']}/openslo"
    response = await send(api, admin, "GET", path)
    assert response.headers["content-type"] == "application/yaml"
    service, slo = yaml.safe_load_all(response.text)
    assert service["metadata"] == {"name": "all-services", "displayName": "All services"}
    assert slo["metadata"]["annotations"]["policy.sla-monitor/serviceHours"] == (
        '[{"days":[1,2,3,4,5],"from":"08:00","until":"20:00"}]'
    )
    tag = {"If-None-Match": response.headers["etag"]}
    assert (await send(api, admin, "GET", path, headers=tag)).status_code == 304
    changed = await change(api, admin, policy, target=99.95)
    newest = await send(api, admin, "GET", path, headers=tag)
    assert "target: 0.9995" in newest.text
    file = tmp_path / "slo.yaml"
    write(file, newest.text)
    assert await apply(file, pool) == [("everything", "applied")]
    assert await apply(file, pool) == []
    stored = (await api.get(f"{PATH}/{policy['id']}", headers=admin.headers))["policy"]
    assert stored == {**changed, "declaredIn": "slo.yaml"}, "the file declares the policy as it was"
    missing = await send(api, admin, "GET", f"{PATH}/{uuid4()}/openslo")
    assert (missing.status_code, missing.json()["reason"]) == (404, "unknown_policy")
