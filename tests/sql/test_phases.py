"""The sums of phases: which checks they include."""

from datetime import timedelta

from tests.sql.batches import MINUTE, Connection, fetch, now, record, row

PHASES = ("phases_daily", "phases_hourly", "phases_15m")


async def test_only_successful_checks_with_measured_phases_count(db: Connection) -> None:
    at = now() - timedelta(minutes=2)
    await record(
        db,
        [
            row(at - 3 * MINUTE, "po", tls_ms=8.0),
            row(at - 2 * MINUTE, first_byte_ms=None),
            row(at - MINUTE, "mo", total_ms=99.0),
            row(at, total_ms=None),
        ],
    )
    for name in PHASES:
        assert await fetch(db, f"SELECT sum(checks), sum(sum_ms), sum(sum_tls_ms) FROM {name}") == [(1, 3500.0, 8.0)]
