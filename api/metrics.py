"""What the API counts about itself, each series declared once; `/metrics` renders them."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector


class Metrics:
    """One registry per application, so that two of them can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "HTTP requests answered", "route", "method", "status")
        self.request_seconds = Histogram(
            "sla_monitor_request_seconds", "Time to an answer that was computed", ["route"], registry=self.registry
        )
        self.client_faults = self._counter(
            "client_faults", "What clients did wrong: sent no HTTP, did not read, left before their response", "fault"
        )
        self.answers = {"HIT": 0, "MISS": 0, "STALE": 0}
        """Plain numbers: each answer from memory is counted, and a Counter would take a good part of its time."""
        self.registry.register(_Counts("answers", "Cacheable answers by where they came from", "source", self.answers))
        self.answer_bytes = self._gauge("answer_cache_bytes", "Bytes of the answers kept in memory")
        self.answer_entries = self._gauge("answer_cache_entries", "Answers kept in memory")
        self.sockets = self._gauge("sockets", "Open WebSockets by door: ws or socketio", "door")
        self.sockets_refused = self._counter("sockets_refused", "WebSockets refused or ended by us", "reason")
        self.socket_events = self._counter("socket_events", "What clients said over sockets", "event", "outcome")
        self.presence_leases = self._gauge("presence_leases", "Sockets of this process in rooms of incidents")
        self.access_sweeps = self._counter("access_sweeps", "Times all sockets' access was looked up again")
        self.access_ended = self._counter("access_ended", "Sockets ended because their access was")
        self.frames = self._counter("frames", "Frames handed to WebSockets")
        self.feed_alive = self._gauge("feed_alive", "1 while changes are heard from the database at once")
        self.feed_lag = self._gauge("feed_lag_seconds", "Age of the last event when it was handed on")
        self.feed_silence = self._gauge("feed_silence_seconds", "Time since the listener last heard anything")
        self.feed_reconnects = self._counter("feed_reconnects", "Times the listener had to connect again")
        self.event_seq = self._gauge("event_seq", "Number of the last public event handed on")
        self.background_failures = self._counter(
            "background_failures", "Times the database refused what goes on beside the requests", "task"
        )
        self.request_log_dropped = self._counter(
            "request_log_dropped", "Lines of the request log that standard output did not take in time"
        )
        self.loop_lag = self._gauge("event_loop_lag_seconds", "How late the event loop woke a sleeper, last time")
        self.passwords_waiting = self._gauge("passwords_waiting", "Passwords that wait for their turn to be hashed")
        self.pool = self._gauge("database_pool", "The pool's own figures", "figure")

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"sla_monitor_{name}", meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"sla_monitor_{name}", meaning, labels, registry=self.registry)

    def render(self) -> bytes:
        """The text format that Prometheus reads."""
        return generate_latest(self.registry)


class _Counts(Collector):
    """A counter that is kept elsewhere, by the values of its one label."""

    def __init__(self, name: str, meaning: str, label: str, counts: Mapping[str, int]) -> None:
        self._described = (f"sla_monitor_{name}", meaning, label)
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        name, meaning, label = self._described
        family = CounterMetricFamily(name, meaning, labels=[label])
        for value, count in self._counts.items():
            family.add_metric([value], count)
        yield family
