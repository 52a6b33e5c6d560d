"""The figures of groups and of all services in sla_group_levels."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tests.sla.store import store
from tests.sla.test_examples import FIRST, NEVER, at, watched
from tests.sla.world import Episode, Membership, Policy, Version, World
from tests.sql.batches import Connection, fetch

GROUPS = "SELECT * FROM sla_group_levels(%s, %s, %s, %s) ORDER BY group_name NULLS FIRST"
DAY_S, MIDNIGHT = 86_400, at("00:00")


def of(service: str, *spans: tuple[datetime, datetime, str], since: datetime = MIDNIGHT) -> list[Episode]:
    return [one._replace(service=service) for one in watched("a", *spans, since=since)]


def example(*policies: Policy) -> World:
    """On 1 June `web` is down for 864 s (1 %) and `api` for 1,728 s (2 %). `db` is down for 4,320 s of the 12 hours
    since its first check (10 %), has no group, and belongs to `front` until 30 May."""
    episodes = [
        *of("web", (at("10:00"), at("10:14:24"), "outage")),
        *of("api", (at("10:00"), at("10:20"), "outage"), (at("11:00"), at("11:08:48"), "outage")),
        *of("db", (at("20:00"), at("21:12"), "outage"), since=at("12:00")),
    ]
    moved = datetime.fromisoformat("2026-05-30T00:00+00:00")
    memberships = (
        Membership("web", group="front"),
        Membership("api", group="front"),
        Membership("db", valid_until=moved, group="front"),
        Membership("db", valid_from=moved),
    )
    return World(now=NEVER, episodes=tuple(episodes), policies=policies, memberships=memberships)


def policy(scope: str, subject: str | None = None, number: int = 9, **terms: Any) -> Policy:
    return Policy(UUID(int=number), scope, subject, (Version(**terms),))


async def levels_of(
    db: Connection, world: World, *, private: str | None = None, public_only: bool = False
) -> list[Any]:
    """The names, numbers of services, methods, uptimes, verdicts, seconds spent and outages of 1 June."""
    async with db.transaction(force_rollback=True):
        await store(db, world)
        await db.execute("UPDATE service_memberships SET public = false WHERE service_id = %s", [private])
        rows = await fetch(db, GROUPS, (FIRST, FIRST, NEVER, public_only))
    return [
        (name, services, method, uptime, verdict, spent, outages)
        for name, services, method, _, uptime, _, verdict, _, spent, _, outages in rows
    ]


async def test_the_service_with_the_lowest_uptime_decides(shared: Connection) -> None:
    found = await levels_of(shared, example(policy("everything", target=Decimal(99))))
    assert found == [
        (None, 3, "worst", 90, "missed", 4320, 4),
        ("front", 2, "worst", 98, "missed", 1728, 3),
    ]


async def test_a_group_has_the_means_of_its_services_if_its_policy_says_so(shared: Connection) -> None:
    world = example(
        policy("everything", target=Decimal(90)),
        policy("group", "front", 8, target=Decimal("98.5"), group_method="mean"),
    )
    found = await levels_of(shared, world)
    assert found == [
        (None, 3, "worst", 90, "met", 4320, 4),
        ("front", 2, "mean", Decimal("98.5"), "met", (864 + 1728) / 2, 3),
    ]


async def test_the_mean_is_weighted_by_time(shared: Connection) -> None:
    found = await levels_of(shared, example(policy("everything", target=Decimal(99), group_method="mean")))
    lost, known = 864 + 1728 + 4320, 2 * DAY_S + DAY_S // 2
    name, services, method, uptime, *_ = found[0]
    assert (name, services, method) == (None, 3, "mean")
    assert abs(uptime - 100 * (1 - Decimal(lost) / known)) < Decimal("1e-12")


async def test_private_services_do_not_count_for_strangers(shared: Connection) -> None:
    world = example(policy("everything", target=Decimal(99)))
    found = await levels_of(shared, world, private="db", public_only=True)
    assert found[0] == (None, 2, "worst", 98, "missed", 1728, 3)
    staff = await levels_of(shared, world, private="db")
    assert staff[0] == (None, 3, "worst", 90, "missed", 4320, 4)


async def test_services_without_a_policy_do_not_count(shared: Connection) -> None:
    found = await levels_of(shared, example(policy("service", "web", target=Decimal(99))))
    assert found == [
        (None, 1, "worst", 99, "met", 864, 1),
        ("front", 1, "worst", 99, "met", 864, 1),
    ]


async def test_a_group_of_one_service_has_the_figures_of_the_service(shared: Connection) -> None:
    columns = "target, uptime, coverage, verdict, budget_seconds, spent_seconds, left_seconds, outages"
    for method in ("worst", "mean"):
        world = example(
            policy("service", "api", target=Decimal(99)), policy("everything", number=8, group_method=method)
        )
        alone = world._replace(memberships=tuple(one for one in world.memberships if one.service == "api"))
        async with shared.transaction(force_rollback=True):
            await store(shared, alone)
            own = await fetch(shared, f"SELECT {columns} FROM sla_levels('{{api}}', %s, %s, %s)", (FIRST, FIRST, NEVER))
            group = await fetch(
                shared, f"SELECT {columns} FROM sla_group_levels(%s, %s, %s, false)", (FIRST, FIRST, NEVER)
            )
        assert group == own * 2
