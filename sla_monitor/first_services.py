"""The services that a new installation starts with: the five of Verify, and this program's own API."""

from dataclasses import asdict, dataclass

from psycopg.types.json import Jsonb

from sla_monitor.settings import Settings
from sql import connect, query


@dataclass(frozen=True)
class FirstService:
    """A row of services; without a URL of its own it is registered paused."""

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
    """Where our own API says that it lives, as this machine reaches it."""
    everywhere = settings.api_host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    host = "127.0.0.1" if everywhere else settings.api_host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.api_port}/health"


def first_services(settings: Settings) -> list[FirstService]:
    """The five services of Verify, paused where no URL is set, and `sla-monitor`, which watches the API."""

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
    """Registers them on the first start; later starts only give a paused one the URL that was missing, and the one that
    watches our own API its present port."""
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
