"""The sizes and durations of the measurements: the default, a longer run, and a run that only tests the benchmark."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """The sizes of a run. With the defaults it takes about twenty minutes on two cores."""

    rounds: int = 5
    probe_rounds: int = 3
    probe_seconds: float = 6.0
    http_services: int = 4000
    tls_services: int = 400
    punctuality_services: int = 10_000
    punctuality_seconds: float = 61.0
    ingest_rounds: int = 20
    ingest_large_batch: int = 1000
    ingest_small_batch: int = 50
    trd_services: int = 200
    trd_rows_of_today: int = 720
    storage_services: int = 100
    storage_days: int = 14
    rollup_services: int = 1000
    rollup_history_hours: int = 48
    rollup_hours: int = 2
    late_rows: int = 9
    read_services: int = 1000
    read_checks_per_hour: int = 4
    read_days: int = 90
    sla_services: int = 1000
    history_days: int = 90
    api_services: int = 50
    api_seconds: float = 2.0
    page_services: int = 1000
    page_loads: int = 9
    freshness_changes: int = 20
    fan_out_sockets: int = 5000
    fan_out_events: int = 15
    starts: int = 3
    sustained_services: int = 21_000
    sustained_interval_s: int = 1
    sustained_batch: int = 1000
    sustained_seconds: float = 60.0
    sustained_refresh_s: float = 30.0
    sustained_old_days: int = 2
    sustained_old_services: int = 400


FULL = Scale(
    probe_rounds=5,
    probe_seconds=15.0,
    punctuality_seconds=181.0,
    ingest_rounds=50,
    storage_days=30,
    late_rows=25,
    read_checks_per_hour=6,
    api_seconds=5.0,
    fan_out_events=40,
    sustained_seconds=600.0,
    sustained_old_days=8,
    sustained_old_services=1000,
)

TINY = Scale(
    rounds=1,
    probe_rounds=1,
    probe_seconds=1.0,
    http_services=20,
    tls_services=10,
    punctuality_services=20,
    punctuality_seconds=2.0,
    ingest_rounds=2,
    ingest_large_batch=20,
    ingest_small_batch=5,
    trd_services=5,
    trd_rows_of_today=20,
    storage_services=2,
    storage_days=2,
    rollup_services=5,
    rollup_history_hours=2,
    rollup_hours=1,
    late_rows=2,
    read_services=5,
    read_checks_per_hour=2,
    read_days=4,
    sla_services=5,
    history_days=3,
    api_services=3,
    api_seconds=0.2,
    page_services=20,
    page_loads=1,
    freshness_changes=2,
    fan_out_sockets=20,
    fan_out_events=2,
    starts=1,
    sustained_services=100,
    sustained_batch=20,
    sustained_seconds=2.0,
    sustained_refresh_s=0.5,
    sustained_old_days=2,
    sustained_old_services=2,
)
