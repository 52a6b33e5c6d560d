"""The first services of a new installation: five of Verify, and the API of this program."""

import logging
from collections.abc import Container
from dataclasses import asdict, dataclass
from typing import NamedTuple

from psycopg.types.json import Jsonb

from sla_monitor.settings import ENVIRONMENT, Settings, given
from sql import connect, query

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FirstService:
    """A row of `services`. A service without a configured URL is registered as paused."""

    id: str
    name: str
    description: str
    endpoint_url: str
    interval_seconds: int
    timeout_ms: int
    degraded_after_ms: int
    enabled: bool


VERIFY = {
    "id-recognition": "ID Recognition",
    "face-liveness": "Face Liveness",
    "id-liveness": "ID Liveness",
    "face-compare": "Face Compare",
    "curp-verifier": "Curp Verifier",
}


def _placeholder(service_id: str) -> str:
    return f"https://api.verify.com/{service_id}/health"


def _url(settings: Settings, service_id: str) -> str | None:
    url: str | None = getattr(settings, service_id.replace("-", "_") + "_endpoint")
    return url


def own_url(settings: Settings) -> str:
    """The URL of /health of the API of this installation, from this machine."""
    return health_url(settings.api_host, settings.api_port)


def health_url(listening_on: str, port: int) -> str:
    """The URL of /health of a part of this installation, from this machine."""
    everywhere = listening_on in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    host = "127.0.0.1" if everywhere else listening_on
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/health"


def first_services(settings: Settings) -> list[FirstService]:
    """The five services of Verify, paused if their URL is not set, and `sla-monitor`, which checks the API."""

    interval_s = int(settings.check_interval.total_seconds())
    timeout_ms = min(settings.check_timeout_ms, interval_s * 1000)

    def row(service_id: str, name: str, description: str, url: str | None, default_url: str) -> FirstService:
        return FirstService(
            id=service_id,
            name=name,
            description=description,
            endpoint_url=url or default_url,
            interval_seconds=interval_s,
            timeout_ms=timeout_ms,
            degraded_after_ms=min(3000, timeout_ms),
            enabled=url is not None,
        )

    own = own_url(settings)
    return [
        *(
            row(
                service_id,
                name,
                f"Verify's {name} service",
                _url(settings, service_id),
                _placeholder(service_id),
            )
            for service_id, name in VERIFY.items()
        ),
        row("sla-monitor", "SLA Monitor API", "This program's own API", own, own),
    ]


async def register_first_services(database_url: str, settings: Settings) -> None:
    """Registers the first services on the first start. Later starts set a URL that was missing, and the current port of
    the API. Variables that no longer have an effect are logged."""
    services = first_services(settings)
    async with await connect(database_url, application="sla-monitor migrate") as connection:
        rows = Jsonb([asdict(service) for service in services])
        await connection.execute(query("services/register_first"), {"services": rows})
        await connection.execute(query("services/move_own"), {"endpoint_url": own_url(settings)})
        for service_id in VERIFY:
            url = _url(settings, service_id)
            if url is not None:
                values = {"id": service_id, "endpoint_url": url, "placeholder": _placeholder(service_id)}
                await connection.execute(query("services/give_url"), values)
        cursor = await connection.execute(query("services/first_differing"), {"services": rows})
        differing = [_Difference(*row) for row in await cursor.fetchall()]
    for line in _of_no_effect(differing, given()):
        log.warning("%s", line)


class _Difference(NamedTuple):
    """A stored service, and which of its fields differ from the current variables."""

    service_id: str
    url: bool
    interval: bool
    timeout: bool


def _of_no_effect(differing: list[_Difference], set_fields: Container[str]) -> list[str]:
    """The log lines for variables that have no effect, because existing services are changed in the console only."""
    lines = []
    for one in differing:
        field = one.service_id.replace("-", "_") + "_endpoint"
        if one.url and one.service_id in VERIFY and field in set_fields:
            lines.append(
                f"{ENVIRONMENT[field].name} has no effect: {one.service_id} exists with another URL; "
                "change it in the console"
            )
    for field, ids in (
        ("check_interval", [one.service_id for one in differing if one.interval]),
        ("check_timeout_ms", [one.service_id for one in differing if one.timeout]),
    ):
        if ids and field in set_fields:
            lines.append(
                f"{ENVIRONMENT[field].name} applies to new services only: {', '.join(ids)} have another value; "
                "change it in the console"
            )
    return lines
