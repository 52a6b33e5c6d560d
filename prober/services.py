"""A monitored service, as the prober knows it, and the words for what can go wrong with it."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from sla_monitor.checks import AnyConfig
from sla_monitor.checks.http import Http

ErrorType = Literal[
    "timeout",
    "connection_error",
    "dns_error",
    "tls_error",
    "http_error",
    "assertion_failed",
    "unknown_error",
]


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """What is checked, how, and how often. API and services.toml have the same defaults."""

    id: str
    check_config: AnyConfig
    interval_seconds: int = 60
    timeout_ms: int = 7000
    degraded_after_ms: int = 3000
    retries: int = 0


def read_service(row: Mapping[str, Any]) -> Service:
    """A row of `services`, or what a prober has kept of one. Raises msgspec.ValidationError.

    Until the schema of release 0.1 is brought up to date, and in what its probers have kept, the fields of HTTP stand
    beside the others.
    """
    if row.get("check_config") is None:
        row = {**row, "check_config": {"type": "http"} | {name: row[name] for name in _HTTP_FIELDS if name in row}}
    return msgspec.convert(row, Service)


_HTTP_FIELDS = Http.__struct_fields__
