"""Services as the prober knows them."""

from typing import Any

from prober.services import Service
from sla_monitor.checks.http import Http


def http_service(**fields: Any) -> Service:
    """A service that is checked over HTTP; the fields of both, mixed."""
    own = {name: fields.pop(name) for name in Http.__struct_fields__ if name in fields}
    return Service(check_config=Http(**own), **fields)
