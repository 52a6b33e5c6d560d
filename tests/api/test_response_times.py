"""Response times over any window: figures of raw checks, quarters of an hour, hours and days agree within 2 %."""

import random
import statistics
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest

from api.rest.errors import ApiError
from api.uptime.response_times import MAX_POINTS, default_step, tier, window
from tests.api.conftest import Api, Check, add_service, record

Db = psycopg.AsyncConnection[Any]
DAY_S = 86400


@pytest.mark.parametrize(
    ("window_s", "step"),
    [
        (60, 60),
        (3600, 60),
        (DAY_S, 600),
        (2 * DAY_S, 1800),
        (3 * DAY_S, 1800),
        (90 * DAY_S, DAY_S),
        (3650 * DAY_S, 30 * DAY_S),
    ],
)
def test_the_default_step_yields_a_limited_number_of_points(window_s: float, step: int) -> None:
    assert default_step(window_s) == step
    assert window_s / step <= MAX_POINTS
    tier(default_step(window_s), window_s)


@pytest.mark.parametrize(
    ("step", "read"), [(60, "raw"), (900, "15m"), (2700, "15m"), (7200, "hourly"), (DAY_S, "daily")]
)
def test_the_step_selects_the_tier(step: int, read: str) -> None:
    assert tier(step, DAY_S) == read


@pytest.mark.parametrize(("step", "window_s"), [(1, DAY_S), (1000, DAY_S), (600, 3 * DAY_S), (900, 90 * DAY_S)])
def test_a_step_with_too_many_points_or_no_tier_is_refused(step: int, window_s: float) -> None:
    with pytest.raises(ApiError) as refused:
        tier(step, window_s)
    assert refused.value.details[0].field == "step"


def test_a_window_must_end_after_it_begins() -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert window(None, None, noon)[1] - window(None, None, noon)[0] == timedelta(days=1)
    with pytest.raises(ApiError):
        window(noon, noon, noon)


async def test_the_figures_of_every_tier_agree_within_two_percent(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    chance = random.Random(5)
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    times = [chance.lognormvariate(5, 0.6) for _ in range(600)]
    checks = [Check("shop", start + timedelta(minutes=2 * n), ms=ms) for n, ms in enumerate(times)]
    checks += [Check("shop", start + timedelta(minutes=2 * n + 1), ms=None) for n in range(30)]
    await record(db, checks)

    exact = statistics.quantiles(times, n=100, method="inclusive")
    for step in (600, 900, 3600, DAY_S):
        query = urlencode({"from": start.isoformat(), "to": (start + timedelta(days=1)).isoformat(), "step": step})
        response = await api.get(f"/api/response-times/shop?{query}")
        assert list(response) == [
            *("service", "from", "to", "count", "errors", "avg", "min", "max", "p50", "p95", "p99", "phases", "series")
        ]
        assert (response["count"], response["errors"]) == (630, 30), step
        assert response["service"] == {"id": "shop", "name": "Shop"}
        assert response["from"] == start.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        assert response["avg"] == pytest.approx(statistics.fmean(times), rel=0.001)
        assert response["min"] == pytest.approx(min(times), abs=0.07)
        assert response["max"] == pytest.approx(max(times), abs=0.07)
        for name, share in (("p50", 50), ("p95", 95), ("p99", 99)):
            assert response[name] == pytest.approx(exact[share - 1], rel=0.02), (step, name)
        assert sum(point["count"] for point in response["series"]) == 630
        assert sum(point["errors"] for point in response["series"]) == 30
        assert list(response["series"][0]) == [*("time", "count", "errors", "avg", "p50", "p95", "p99", "phases")]
        moments = [datetime.fromisoformat(point["time"]) for point in response["series"]]
        assert moments == sorted(moments)
        assert all((moment - start) % timedelta(seconds=step) == timedelta() for moment in moments)


async def test_every_tier_has_the_mean_durations_of_the_phases(api: Api, db: Db) -> None:
    """The means include only successful checks with measured phases. The transfer is the rest of the total time."""
    await add_service(db, "shop")
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    measured = [
        Check("shop", start + timedelta(minutes=n), ms=100.0 + n, phases=(1.0, 2.0 + n, 0.0, 50.0)) for n in range(4)
    ]
    others = [
        Check("shop", start + timedelta(minutes=4), ms=None, phases=(9.0, 9.0, 9.0, 9.0)),
        Check("shop", start + timedelta(minutes=5), ms=900.0),
        Check("shop", start + timedelta(hours=2), ms=900.0),
        Check("shop", start + timedelta(hours=3), ms=10.0, phases=(4.0, 4.0, 4.0, 4.0)),
    ]
    await record(db, [*measured, *others])
    at_first = {"dns": 1.0, "connect": 3.5, "tls": 0.0, "firstByte": 50.0, "transfer": 47.0}
    altogether = {"dns": 1.6, "connect": 3.6, "tls": 0.8, "firstByte": 40.8, "transfer": 36.4}
    for step in (600, 900, 3600, DAY_S):
        query = urlencode({"from": start.isoformat(), "to": (start + timedelta(days=1)).isoformat(), "step": step})
        response = await api.get(f"/api/response-times/shop?{query}")
        assert response["phases"] == altogether, step
        if step < DAY_S:
            points = [point["phases"] for point in response["series"]]
            assert points[0] == at_first, step
            assert points[1] is None, "a check without phases"
            assert points[2]["transfer"] == 0, "never negative"
        assert list(response["phases"]) == list(at_first)


async def test_a_window_without_checks_has_no_figures(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    for step in (60, 900, 3600, DAY_S):
        response = await api.get(f"/api/response-times/shop?step={step}")
        assert (response["count"], response["avg"], response["p95"], response["series"]) == (0, None, None, [])
        assert response["phases"] is None


async def test_an_invalid_window_is_refused_by_field(api: Api) -> None:
    for query, field in (
        ("from=2026-01-01T00:00:00", "from"),
        ("from=yesterday", "from"),
        ("from=1795442400", "from"),
        ("to=1999-01-01T00:00:00Z", "to"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("step=0", "step"),
        ("step=" + "9" * 400, "step"),
        ("step=NaN", "step"),
        ("step=1", "step"),
    ):
        response = await api.http.get(f"/api/response-times/shop?{query}")
        assert response.status_code == 400
        assert response.json()["code"] == "VALIDATION_ERROR"
        assert response.json()["details"][0]["field"] == field
