"""The metrics of the API, each declared once; `/metrics` renders them."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector


class Metrics:
    """One registry per application, so that tests can run two in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "HTTP requests", "route", "method", "status")
        self.request_seconds = Histogram(
            "sla_monitor_request_seconds",
            "Duration of HTTP requests that were not served from the cache",
            ["route"],
            registry=self.registry,
        )
        self.client_faults = self._counter(
            "client_faults",
            "Protocol errors of clients, such as invalid HTTP, responses not read, early disconnects",
            "fault",
        )
        self.cacheable_responses = {"HIT": 0, "MISS": 0, "STALE": 0}
        """Plain numbers: every cache hit is counted, and a Counter would take a large part of the time of a hit."""
        self.registry.register(
            _Counts(
                "cacheable_responses",
                "Cacheable responses: from the cache, computed, or stale",
                "source",
                self.cacheable_responses,
            )
        )
        self.response_cache_bytes = self._gauge("response_cache_bytes", "Bytes of the cached responses")
        self.response_cache_entries = self._gauge("response_cache_entries", "Number of cached responses")
        self.sockets = self._gauge("sockets", "Open WebSockets by transport: ws or socketio", "transport")
        self.sockets_refused = self._counter("sockets_refused", "WebSockets refused or closed by the server", "reason")
        self.socket_events = self._counter("socket_events", "Messages of clients over WebSockets", "event", "outcome")
        self.presence_leases = self._gauge(
            "presence_leases", "Memberships of this process's WebSockets in rooms of incidents and templates"
        )
        self.access_sweeps = self._counter("access_sweeps", "Times the access of all WebSockets was checked")
        self.access_ended = self._counter("access_ended", "WebSockets closed because access was revoked or expired")
        self.frames = self._counter("frames", "Frames written to WebSockets, or queued for them")
        self.feed_alive = self._gauge("feed_alive", "1 while the feed is listening for notifications of the database")
        self.feed_lag = self._gauge("feed_lag_seconds", "Age of the last public event when it was published")
        self.feed_silence = self._gauge("feed_silence_seconds", "Time since the last notification of the database")
        self.feed_reconnects = self._counter("feed_reconnects", "Times the feed connected to the database again")
        self.event_seq = self._gauge("event_seq", "Sequence number of the last public event that was published")
        self.background_failures = self._counter(
            "background_failures", "Failures of background tasks to use the database", "task"
        )
        self.request_log_dropped = self._counter(
            "request_log_dropped", "Lines of the request log that could not be written to standard output"
        )
        self.loop_lag = self._gauge("event_loop_lag_seconds", "How late the event loop ran a timer, last measured")
        self.passwords_waiting = self._gauge("passwords_waiting", "Passwords that wait to be hashed")
        self.pool = self._gauge("database_pool", "Statistics of the connection pool", "figure")

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"sla_monitor_{name}", meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"sla_monitor_{name}", meaning, labels, registry=self.registry)

    def render(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self.registry)


class _Counts(Collector):
    """A counter with one label whose values are read from a mapping."""

    def __init__(self, name: str, meaning: str, label: str, counts: Mapping[str, int]) -> None:
        self._described = (f"sla_monitor_{name}", meaning, label)
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        name, meaning, label = self._described
        family = CounterMetricFamily(name, meaning, labels=[label])
        for value, count in self._counts.items():
            family.add_metric([value], count)
        yield family
