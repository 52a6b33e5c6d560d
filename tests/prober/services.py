"""Services for tests of the prober."""

from typing import Any

from prober.services import Service
from sla_monitor.checks.http import Http


def http_service(**fields: Any) -> Service:
    """A service with an HTTP configuration. `fields` are those of both."""
    own = {name: fields.pop(name) for name in Http.__struct_fields__ if name in fields}
    return Service(check_config=Http(**own), **fields)
