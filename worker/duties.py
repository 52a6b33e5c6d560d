"""All duties of the worker: name, pause in seconds, function, timeout in seconds."""

from worker import (
    accounting,
    aggregates,
    budgets,
    corrections,
    expiry,
    heartbeats,
    maintenance_plan,
    presence,
    retention,
)
from worker.duty import Duty

DUTIES: tuple[Duty, ...] = (
    Duty("aggregates", 30, aggregates.fold, timeout_s=900, woken_by="ranges"),
    Duty("partitions", 30, retention.keep_partitions, timeout_s=300),
    Duty("events", 30, retention.prune_events, timeout_s=300),
    Duty("sessions", 30, retention.prune_sessions, timeout_s=300),
    Duty("idempotency", 60, retention.prune_idempotency, timeout_s=300),
    Duty("audit", 60, retention.prune_audit, timeout_s=300),
    Duty("expiry", 5, expiry.expire_states, timeout_s=10),
    Duty("maintenance", 1, maintenance_plan.turn, timeout_s=10),
    Duty("maintenance_plan", 3600, maintenance_plan.extend, timeout_s=60),
    Duty("corrections", 5, corrections.extend, timeout_s=60),
    Duty("budgets", 60, budgets.turn, timeout_s=30),
    Duty("accounting", 5, accounting.store_days, timeout_s=300, woken_by="days"),
    Duty("heartbeats", 1, heartbeats.turn, timeout_s=30),
    Duty("presence", 1, presence.expire_leases, timeout_s=5),
)
