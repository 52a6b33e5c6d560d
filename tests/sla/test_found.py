"""Cases in which the database once differed from the model, or failed."""

from datetime import UTC, date, datetime
from uuid import UUID

from tests.sla.test_examples import WINDOW, at, check, computed, watched, world
from tests.sla.world import Announcement, Correction, Occurrence, Version
from tests.sql.batches import Connection


async def test_a_gap_that_counts_as_down_is_as_long_as_it_is_beyond_the_period(shared: Connection) -> None:
    gap = at("22:00", 1), at("00:01", 2), "unknown"
    example = world(watched("a", gap), Version(unknown="down", shortest_outage_s=3600))
    [found] = await computed(shared, example, date(2026, 6, 2))
    check(found, down=60, outages=1)


async def test_an_extension_counts_from_its_own_start_if_the_period_begins_in_it(shared: Connection) -> None:
    services = ("web",)
    example = world(
        watched("a"),
        Version(announced_minutes=60),
        announcements=(
            Announcement(WINDOW, at("20:00", 1), at("22:00", 1), services, datetime(2026, 5, 1, tzinfo=UTC)),
            Announcement(WINDOW, at("20:00", 1), at("01:00", 2), services, at("20:30", 1)),
        ),
        occurrences=(Occurrence(WINDOW, at("20:00", 1), at("01:00", 2), services),),
    )
    [found] = await computed(shared, example, date(2026, 6, 2))
    assert found.maintained == 3600


async def test_a_correction_lengthens_no_outage_beyond_now(shared: Connection) -> None:
    correction = Correction(UUID(int=1), "service", "web", "down", ((at("10:00"), at("12:00")),), at("10:00"))
    example = world(
        watched("a"),
        Version(shortest_outage_s=3600),
        now=at("10:30"),
        corrections=(correction,),
    )
    [found] = await computed(shared, example)
    check(found, down=0, up=10.5 * 3600)


async def test_a_correction_lengthens_no_outage_before_the_first_check(shared: Connection) -> None:
    correction = Correction(UUID(int=1), "service", "web", "down", ((at("09:00"), at("10:30")),), at("11:00"))
    example = world(watched("a", since=at("10:00")), Version(shortest_outage_s=3600), corrections=(correction,))
    [found] = await computed(shared, example)
    check(found, down=0, up=14 * 3600)


async def test_a_first_check_after_now_counts_nothing(shared: Connection) -> None:
    example = world(watched("a", since=at("10:00")), now=at("09:00"))
    [found] = await computed(shared, example)
    assert sum(found[6:13]) == 0


async def test_a_service_without_checks_has_no_time(shared: Connection) -> None:
    [found] = await computed(shared, world([]))
    check(found, outages=0, planned=86_400)
    assert sum(found[6:13]) == 0
