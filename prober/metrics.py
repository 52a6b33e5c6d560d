"""What the prober tells of itself at /metrics: every name, its labels and its meaning, declared once."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from sla_monitor.serving.connections import Fault

_CHECK_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LATE_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_BATCH_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)
_BATCH_ROWS = (1, 3, 10, 30, 100, 300, 1000)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second line for each figure, which nobody reads


class Metrics:
    """The prober's figures, in a registry of their own. Label values are looked up here, once: on the path
    of every check that would cost as much as counting."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        checks = self._counter("checks", "Finished checks", "severity")
        self.checks = {severity: checks.labels(severity) for severity in ("o", "po", "mo")}
        self.check_seconds = self._histogram("check_seconds", "Duration of a check, with its retries", _CHECK_SECONDS)
        self.late_seconds = self._histogram("start_late_seconds", "Start of a check behind its slot", _LATE_SECONDS)
        self.missed = self._counter("missed_slots", "Slots whose time had gone before they could be started")
        skipped = self._counter("skipped_slots", "Slots given up when they were due", "reason")
        self.overlap = skipped.labels("overlap")
        self.full = skipped.labels("full")
        self.stopping = skipped.labels("stopping")
        self.running = self._gauge("checks_running", "Checks under way")
        self.services = self._gauge("services", "Services that are checked")
        self.bad_services = self._gauge("services_unusable", "Enabled services whose row this prober cannot use")
        self.large_bodies = self._gauge("large_bodies", "Answers of more than 64 KiB in memory")
        self.bodies_waiting = self._gauge(
            "bodies_waiting", "Checks paused for too many large answers in memory (PROBE_BODIES_MAX_BYTES)"
        )
        self.trouble = self._counter("trouble", "Checks that told nothing, for the prober's own trouble")
        self.denied = self._counter("denied_checks", "Checks not made because PROBE_DENY_NETWORKS forbids their target")

        self.queue = self._gauge("queue_rows", "Checks in memory that are neither in the database nor in the spool")
        self.queue_dropped = self._counter("queue_dropped_rows", "Checks lost because memory's bound was reached")
        self.batch_rows = self._histogram("batch_rows", "Checks in a transaction", _BATCH_ROWS)
        self.batch_seconds = self._histogram("batch_seconds", "Duration of a transaction", _BATCH_SECONDS)
        rows = self._counter("rows", "What became of recorded checks", "result")
        self.stored = rows.labels("stored")
        self.duplicates = rows.labels("duplicate")
        self.parked = rows.labels("parked")
        self.refused = rows.labels("refused")
        self.last_stored = self._gauge("last_stored_timestamp_seconds", "When checks were last stored")
        self.connects = self._counter("database_connects", "Connections that recording has opened")
        self.database_failures = self._counter("database_failures", "Transactions the database did not confirm")

        self.spool_rows = self._gauge("spool_rows", "Checks in the spool")
        self.spool_bytes = self._gauge("spool_bytes", "Size of the spool")
        self.spool_dropped = self._gauge("spool_dropped_rows", "Spooled checks lost to the bound or to damage")
        self.spool_corrupt = self._gauge("spool_corrupt", "Damaged places found in the spool")
        self.spool_unreadable = self._gauge("spool_unreadable_bytes", "Bytes of the damaged places found in the spool")
        self.spool_failures = self._counter("spool_failures", "Failed writes and reads of the spool")

        self.reloads = self._counter("reloads", "Times the services were read from the database")
        self.reload_failures = self._counter("reload_failures", "Times that failed")
        self.listener_connects = self._counter("listener_connects", "Connections the listener has opened")
        self.heartbeats = self._counter("heartbeats", "Calls of HEARTBEAT_URL")
        self.heartbeat_failures = self._counter("heartbeat_failures", "Calls of HEARTBEAT_URL that failed")
        self.client_faults = self._counter("client_faults", "What clients of this listener did wrong", "fault")
        self.loop_lag = self._histogram("loop_lag_seconds", "Lateness of the event loop", _LATE_SECONDS)

    def count_client_fault(self, fault: Fault) -> None:
        """What a client did wrong below HTTP."""
        self.client_faults.labels(fault).inc()

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"sla_prober_{name}", meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(f"sla_prober_{name}", meaning, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"sla_prober_{name}", meaning, buckets=buckets, registry=self.registry)
