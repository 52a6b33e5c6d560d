"""The metrics of the prober, each declared once."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from sla_monitor.serving.connections import Fault

_CHECK_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LATE_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_BATCH_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)
_BATCH_ROWS = (1, 3, 10, 30, 100, 300, 1000)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second, unused series for each metric


class Metrics:
    """The metrics, in a registry of their own. Label values are looked up once, here, because a lookup takes as
    long as an increment."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        checks = self._counter("checks", "Finished checks", "severity")
        self.checks = {severity: checks.labels(severity) for severity in ("o", "po", "mo")}
        self.check_seconds = self._histogram("check_seconds", "Duration of a check, with its retries", _CHECK_SECONDS)
        self.late_seconds = self._histogram(
            "start_late_seconds", "Delay of the start of a check after its slot", _LATE_SECONDS
        )
        self.missed = self._counter("missed_slots", "Slots that were not started in time")
        skipped = self._counter("skipped_slots", "Slots skipped when they were due", "reason")
        self.overlap = skipped.labels("overlap")
        self.full = skipped.labels("full")
        self.stopping = skipped.labels("stopping")
        self.running = self._gauge("checks_running", "Checks under way")
        self.services = self._gauge("services", "Services that are checked")
        self.bad_services = self._gauge(
            "services_unusable", "Enabled services with values that this prober does not support"
        )
        self.large_bodies = self._gauge("large_bodies", "Responses of more than 64 KiB in memory")
        self.bodies_waiting = self._gauge("bodies_waiting", "Checks that wait because of PROBE_BODIES_MAX_BYTES")
        self.trouble = self._counter("trouble", "Checks without a result because of a problem of the prober itself")
        self.denied = self._counter("denied_checks", "Checks not made because of PROBE_DENY_NETWORKS")

        self.queue = self._gauge("queue_rows", "Checks in memory that are neither in the database nor in the spool")
        self.queue_dropped = self._counter("queue_dropped_rows", "Checks lost because the queue in memory was full")
        self.batch_rows = self._histogram("batch_rows", "Checks in a transaction", _BATCH_ROWS)
        self.batch_seconds = self._histogram("batch_seconds", "Duration of a transaction", _BATCH_SECONDS)
        rows = self._counter("rows", "Recorded checks by result", "result")
        self.stored = rows.labels("stored")
        self.duplicates = rows.labels("duplicate")
        self.parked = rows.labels("parked")
        self.refused = rows.labels("refused")
        self.last_stored = self._gauge("last_stored_timestamp_seconds", "When checks were last stored")
        self.connects = self._counter("database_connects", "Database connections opened by the recorder")
        self.database_failures = self._counter("database_failures", "Transactions without a confirmed commit")

        self.spool_rows = self._gauge("spool_rows", "Checks in the spool")
        self.spool_bytes = self._gauge("spool_bytes", "Size of the spool")
        self.spool_dropped = self._gauge(
            "spool_dropped_rows", "Spooled checks lost because the spool was full or damaged"
        )
        self.spool_corrupt = self._gauge("spool_corrupt", "Damaged places found in the spool")
        self.spool_unreadable = self._gauge("spool_unreadable_bytes", "Bytes of the damaged places found in the spool")
        self.spool_failures = self._counter("spool_failures", "Failed writes and reads of the spool")

        self.reloads = self._counter("reloads", "Times the services were read from the database")
        self.reload_failures = self._counter("reload_failures", "Failures to read the services from the database")
        self.listener_connects = self._counter("listener_connects", "Database connections opened by the listener")
        self.heartbeats = self._counter("heartbeats", "Calls of HEARTBEAT_URL")
        self.heartbeat_failures = self._counter("heartbeat_failures", "Calls of HEARTBEAT_URL that failed")
        self.client_faults = self._counter("client_faults", "Protocol errors of clients", "fault")
        self.loop_lag = self._histogram("loop_lag_seconds", "Lateness of the event loop", _LATE_SECONDS)

    def count_client_fault(self, fault: Fault) -> None:
        """Counts a protocol error of a client."""
        self.client_faults.labels(fault).inc()

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"sla_prober_{name}", meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(f"sla_prober_{name}", meaning, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"sla_prober_{name}", meaning, buckets=buckets, registry=self.registry)
