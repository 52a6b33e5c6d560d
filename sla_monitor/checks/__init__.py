"""The check types and their configurations, shared by the API, the prober and the database.

A check type has a module here, an entry in `AnyConfig`, and a probe in prober/probes/<type>.py.
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
"""The structs of all check types by the name in the field `type`."""
PROBED: Mapping[str, type[CheckConfig]] = {name: kind for name, kind in CHECK_TYPES.items() if kind.PROBED}
"""The check types whose checks the prober makes."""


def read_config(document: Any) -> AnyConfig:
    """Decodes a stored configuration. Raises msgspec.ValidationError."""
    config: AnyConfig = msgspec.convert(document, AnyConfig)
    return config
