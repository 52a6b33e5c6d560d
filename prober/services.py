"""A monitored service as the prober reads it, and the types of errors of checks."""

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
    """The fields of a service that its checks need. The API and services.toml have the same defaults."""

    id: str
    check_config: AnyConfig
    interval_seconds: int = 60
    timeout_ms: int = 7000
    degraded_after_ms: int = 3000
    retries: int = 0


def read_service(row: Mapping[str, Any]) -> Service:
    """The service of a row of `services`, or of a list that a prober has saved. Raises msgspec.ValidationError.

    In the schema of release 0.1 and in lists saved by its probers, the fields of HTTP checks are not in `check_config`
    but columns of their own.
    """
    if row.get("check_config") is None:
        row = {**row, "check_config": {"type": "http"} | {name: row[name] for name in _HTTP_FIELDS if name in row}}
    return msgspec.convert(row, Service)


_HTTP_FIELDS = Http.__struct_fields__
