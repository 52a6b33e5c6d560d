"""The check types: what each can be told, shared by the API, the prober and the database.

A check type is its configuration here, a line below, and its probe in prober/probes/<type>.py.
"""

from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from sla_monitor.checks.config import CheckConfig
from sla_monitor.checks.heartbeat import Heartbeat
from sla_monitor.checks.http import Http
from sla_monitor.checks.tcp import Tcp

AnyConfig = Http | Tcp | Heartbeat

CHECK_TYPES: Mapping[str, type[CheckConfig]] = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyConfig)}
"""By the name that REST, services.toml and the database have for it."""
PROBED: Mapping[str, type[CheckConfig]] = {name: kind for name, kind in CHECK_TYPES.items() if kind.PROBED}
"""Those that probers check."""


def read_config(document: Any) -> AnyConfig:
    """A configuration as it is stored. Raises msgspec.ValidationError."""
    config: AnyConfig = msgspec.convert(document, AnyConfig)
    return config
