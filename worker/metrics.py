"""The metrics of the worker, each declared once."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from sla_monitor.serving.connections import Fault

_ROUND_SECONDS = (0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900)
_LATE_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second, unused series for each metric


class Metrics:
    """The metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.rounds = self._counter(
            "duty_rounds", "Rounds of a duty that ended: done, failed or timed_out", "duty", "result"
        )
        self.round_seconds = Histogram(
            "sla_worker_duty_seconds", "Duration of a round", ["duty"], buckets=_ROUND_SECONDS, registry=self.registry
        )
        self.held = self._gauge("duty_held", "1 while this worker holds the duty", "duty")
        self.running = self._gauge("duty_running", "1 while a round is under way", "duty")
        self.last_done = self._gauge("duty_last_done_timestamp_seconds", "When a round was last done", "duty")
        self.lock_connects = self._counter("lock_connects", "Database connections opened to hold duties")
        self.lock_losses = self._counter("lock_losses", "Times such a connection was lost, or could not be opened")
        self.listener_connects = self._counter("listener_connects", "Database connections opened by the listener")
        self.client_faults = self._counter("client_faults", "Protocol errors of clients", "fault")
        self.loop_lag = Histogram(
            "sla_worker_loop_lag_seconds", "Lateness of the event loop", buckets=_LATE_SECONDS, registry=self.registry
        )

    def count_client_fault(self, fault: Fault) -> None:
        """Counts a protocol error of a client."""
        self.client_faults.labels(fault).inc()

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"sla_worker_{name}", meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"sla_worker_{name}", meaning, labels, registry=self.registry)
