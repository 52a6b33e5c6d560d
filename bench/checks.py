"""Checks with fixed values. The SQL function random_checks() makes the random checks of a history."""

from datetime import datetime, timedelta

from prober.store import Check

LOCATION = "bench"
FAILS_EVERY = 999
"""One of every FAILS_EVERY checks fails. No batch size is a multiple of it, so that the failing services differ from
batch to batch."""


def make_check(service: int, number: int, at: datetime, interval_s: int, *, good: bool) -> Check:
    """A check of `service-<service>`. `number` varies its response time between 40 and 140 ms."""
    ms = 40 + (service * 7919 + number * 104729) % 1000 / 10
    return Check(
        service_id=f"service-{service}",
        location=LOCATION,
        scheduled_at=at,
        finished_at=at + timedelta(milliseconds=ms),
        interval_seconds=interval_s,
        status_code=200 if good else None,
        success=good,
        severity="o" if good else "mo",
        total_ms=ms,
        dns_ms=1.25,
        connect_ms=4.5,
        tls_ms=11.75 if good else None,
        first_byte_ms=ms - 18 if good else None,
        attempts=1,
        error_type=None if good else "connection_error",
        error_message=None if good else "connection refused",
    )
