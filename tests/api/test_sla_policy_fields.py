"""Invalid fields of SLA policies are refused by name."""

from typing import Any

import pytest

from tests.api.conftest import Api, User
from tests.api.test_sla_policies import EVERYTHING, PATH, admin, change, create, problems, send

__all__ = ["admin"]

pytestmark = pytest.mark.one_engine


def hours(*intervals: tuple[list[int], str, str]) -> dict[str, Any]:
    return {"serviceHours": [{"days": days, "from": start, "until": end} for days, start, end in intervals]}


def credit_table(*steps: tuple[float, float]) -> dict[str, Any]:
    return {"credits": [{"below": below, "credit": credit} for below, credit in steps]}


def objective(ms: float, share: float) -> dict[str, Any]:
    return {"responseTimeObjective": {"ms": ms, "share": share}}


INVALID: list[tuple[dict[str, Any], str, str]] = [
    ({"target": 0}, "target", "target"),
    ({"target": 100.01}, "target", "target"),
    ({"target": "99.9"}, "target", "target"),
    ({"target": 99.99999}, "target", "decimals"),
    ({"name": " "}, "name", "empty"),
    ({"timeZone": "Mars/Olympus"}, "timeZone", "time_zone"),
    ({"timeZone": "localtime"}, "timeZone", "time_zone"),
    ({"period": "week"}, "period", "choice"),
    ({"rollingDays": 30}, "rollingDays", "only_with"),
    ({"period": "rolling"}, "rollingDays", "required"),
    ({"period": "rolling", "rollingDays": 0}, "rollingDays", "too_small"),
    ({"quorumLocations": 2}, "quorumLocations", "only_with"),
    ({"quorum": "number"}, "quorumLocations", "required"),
    ({"degradedWeight": 1.5}, "degradedWeight", "share"),
    ({"leastCoverage": 101}, "leastCoverage", "percentage"),
    ({"announcedMinutes": -1}, "announcedMinutes", "too_small"),
    ({"holidayCalendar": "Nowhere"}, "holidayCalendar", "unknown_calendar"),
    ({"holidayCalendar": "a\0"}, "holidayCalendar", "control_characters"),
    ({"validFrom": "1999-12-31"}, "validFrom", "years"),
    ({"validFrom": "2026-02-30"}, "validFrom", "day"),
    ({"serviceHours": []}, "serviceHours", "empty"),
    (hours(([], "08:00", "20:00")), "serviceHours[0].days", "empty"),
    (hours(([8], "08:00", "20:00")), "serviceHours[0].days[0]", "too_large"),
    (hours(([1, 2, 1], "08:00", "20:00")), "serviceHours[0].days[2]", "repeated"),
    (hours(([1], "08:00", "08:00")), "serviceHours[0].until", "after_start"),
    (hours(([1], "20:00", "08:00")), "serviceHours[0].until", "after_start"),
    (hours(([1], "8:00", "20:00")), "serviceHours[0].from", "time_of_day"),
    (hours(([1], "24:00", "24:00")), "serviceHours[0].from", "time_of_day"),
    (hours(([1], "08:00", "24:01")), "serviceHours[0].until", "time_of_day"),
    (hours(([1, 2], "08:00", "12:00"), ([2, 3], "11:59", "13:00")), "serviceHours[1]", "hours_overlap"),
    (objective(0, 95), "responseTimeObjective.ms", "too_small"),
    (objective(1.5, 95), "responseTimeObjective.ms", "not_number"),
    (objective(300, 0), "responseTimeObjective.share", "target"),
    (objective(300, 100.5), "responseTimeObjective.share", "target"),
    (objective(300, 95.00001), "responseTimeObjective.share", "decimals"),
    ({"responseTimeObjective": {"ms": 300}}, "responseTimeObjective.share", "required"),
    ({"responseTimeObjective": 300}, "responseTimeObjective", "not_object"),
    ({"credits": []}, "credits", "empty"),
    (credit_table((101, 10)), "credits[0].below", "target"),
    (credit_table((99.9, 0)), "credits[0].credit", "target"),
    (credit_table((99.99999, 10)), "credits[0].below", "decimals"),
    (credit_table((99.0, 10), (99.9, 25)), "credits[1].below", "descending"),
    (credit_table((99.9, 10), (99.9, 25)), "credits[1].below", "descending"),
    (credit_table((99.9, 25), (99.0, 10)), "credits[1].credit", "ascending"),
    (credit_table((99.9, 10), (99.0, 10)), "credits[1].credit", "ascending"),
    ({"groupMethod": "best"}, "groupMethod", "choice"),
    ({"scope": "everything", "subject": "shop"}, "subject", "subject_of_everything"),
    ({"scope": "tag"}, "subject", "required"),
    ({"scope": "group", "subject": "a\nb"}, "subject", "control_characters"),
    ({"scope": "service", "subject": "nothing"}, "subject", "unknown_service"),
    ({"scope": "service", "subject": "all-systems"}, "subject", "unknown_service"),
    ({"scope": "galaxy"}, "scope", "choice"),
]


async def test_invalid_fields_are_refused_by_name_and_nothing_is_stored(api: Api, admin: User) -> None:
    for fields, field, code in INVALID:
        response = await send(api, admin, "POST", PATH, {**EVERYTHING, **fields})
        assert problems(response) == [(field, code)], fields
    assert (await api.get(PATH, headers=admin.headers))["policies"] == []
    policy = await create(api, admin)
    for fields, field, code in INVALID:
        if not fields.keys() & {"scope", "subject"}:
            response = await send(api, admin, "PUT", f"{PATH}/{policy['id']}", fields)
            assert problems(response) == [(field, code)], fields
    assert (await api.get(f"{PATH}/{policy['id']}", headers=admin.headers))["policy"] == policy


async def test_all_problems_of_a_body_are_reported_at_once(api: Api, admin: User) -> None:
    body = {
        "scope": "service",
        "subject": "nothing",
        "name": "Gold",
        "target": 99.99999,
        "timeZone": "Mars/Olympus",
        "period": "rolling",
        "holidayCalendar": "Nowhere",
        **hours(([1], "08:00", "12:00"), ([1], "11:00", "13:00")),
        **credit_table((99.0, 10), (99.9, 25)),
    }
    expected = {
        ("target", "decimals"),
        ("timeZone", "time_zone"),
        ("rollingDays", "required"),
        ("serviceHours[1]", "hours_overlap"),
        ("credits[1].below", "descending"),
        ("holidayCalendar", "unknown_calendar"),
        ("subject", "unknown_service"),
    }
    found = problems(await send(api, admin, "POST", PATH, body))
    assert (set(found), len(found)) == (expected, 7)


async def test_a_wrong_type_hides_no_problem_of_another_field(api: Api, admin: User) -> None:
    wrong = {"target": "high", "timeZone": "Mars/Olympus", **credit_table((99.0, 10), (99.9, 25)), "more": 1}
    expected = {
        ("target", "target"),
        ("timeZone", "time_zone"),
        ("credits[1].below", "descending"),
        ("more", "unknown_field"),
    }
    body = {"scope": "group", "name": "Gold", **wrong}
    assert set(problems(await send(api, admin, "POST", PATH, body))) == {*expected, ("subject", "required")}
    policy = await create(api, admin)
    assert set(problems(await send(api, admin, "PUT", f"{PATH}/{policy['id']}", wrong))) == expected
    late = {"validFrom": "2026-11-15", "timeZone": "UTC", "holidayCalendar": "Nowhere"}
    found = problems(await send(api, admin, "PUT", f"{PATH}/{policy['id']}", late))
    assert set(found) == {("validFrom", "from_day"), ("holidayCalendar", "unknown_calendar")}


async def test_a_null_clears_the_objective_and_the_credits(api: Api, admin: User) -> None:
    policy = await create(api, admin, **objective(300, 95), **credit_table((99.9, 10)))
    changed = await change(api, admin, policy, responseTimeObjective=None, credits=None)
    assert (changed["future"]["responseTimeObjective"], changed["future"]["credits"]) == (None, None)


async def test_adjoining_service_hours_do_not_overlap(api: Api, admin: User) -> None:
    allowed = hours(([1, 2], "08:00", "12:00"), ([1, 2], "12:00", "13:00"), ([3], "00:00", "24:00"))
    assert (await create(api, admin, **allowed))["future"]["serviceHours"] == allowed["serviceHours"]


async def test_a_period_or_quorum_without_a_number_clears_the_number(api: Api, admin: User) -> None:
    policy = await create(api, admin, period="rolling", rollingDays=30, quorum="number", quorumLocations=3)
    path = f"{PATH}/{policy['id']}"
    kept = await send(api, admin, "PUT", path, {"period": "month", "rollingDays": 30})
    assert problems(kept) == [("rollingDays", "only_with")]
    changed = await change(api, admin, policy, period="quarter", quorum="all")
    assert (changed["future"]["rollingDays"], changed["future"]["quorumLocations"]) == (None, None)
    missing = await send(api, admin, "PUT", path, {"period": "rolling"})
    assert problems(missing) == [("rollingDays", "required")]
