"""Twelve targets, declared as services, and the expected result of a check of each."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.prober.targets import (
    Behaviour,
    Certificates,
    closed_port,
    good,
    hang,
    http_response,
    reset_in_response,
    serving,
)

Declaration = dict[str, Any]

EACH_SECOND: Declaration = {"intervalSeconds": 1, "timeoutMs": 1000, "degradedAfterMs": 1000}
UNHURRIED: Declaration = {"intervalSeconds": 4, "timeoutMs": 4000, "degradedAfterMs": 4000}
"""Timeouts that are not exceeded on a busy machine. A timeout may not be longer than the interval."""
SLOW_S = 0.3


class ExpectedCheck(NamedTuple):
    """The expected result of each check of a target. `message` must be in the error message."""

    severity: str
    status_code: int | None
    error_type: str | None = None
    message: str = ""


EXPECTED_CHECKS = {
    "good": ExpectedCheck("o", 200),
    "slow": ExpectedCheck("po", 200),
    "server-error": ExpectedCheck("mo", 500, "http_error", "500"),
    "wrong-words": ExpectedCheck("mo", 200, "assertion_failed", "sunshine"),
    "hanging": ExpectedCheck("mo", None, "timeout", "waiting for the first byte"),
    "resetting": ExpectedCheck("mo", 200, "connection_error", "connection reset"),
    "refusing": ExpectedCheck("mo", None, "connection_error", "connection refused"),
    "dead-name": ExpectedCheck("mo", None, "dns_error", "name not found"),
    "tls-good": ExpectedCheck("o", 200),
    "tls-expired": ExpectedCheck("mo", None, "tls_error", "has expired"),
    "tls-wrong-host": ExpectedCheck("mo", None, "tls_error", "for another host"),
    "tls-self-signed": ExpectedCheck("mo", None, "tls_error", "self-signed certificate"),
}
STATES = {"o": "operational", "po": "degraded", "mo": "outage"}


async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Responds after SLOW_S."""
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(SLOW_S)
    writer.write(http_response())
    await writer.drain()


@asynccontextmanager
async def targets(certificates: Certificates, folder: Path) -> AsyncIterator[list[Declaration]]:
    """Serves all targets. Yields their declarations, with the field names of REST and services.toml."""
    plain: dict[str, Behaviour] = {
        "good": good(),
        "slow": slow,
        "server-error": good(b"sorry", status="500 Internal Server Error"),
        "wrong-words": good(b"rain"),
        "hanging": hang,
        "resetting": reset_in_response,
    }
    secure = {
        "tls-good": certificates.valid(),
        "tls-expired": certificates.expired(),
        "tls-wrong-host": certificates.wrong_host(),
        "tls-self-signed": certificates.self_signed(folder),
    }
    async with AsyncExitStack() as stack:
        urls = {
            name: f"http://127.0.0.1:{await stack.enter_async_context(serving(how))}/" for name, how in plain.items()
        }
        for name, tls in secure.items():
            urls[name] = f"https://127.0.0.1:{await stack.enter_async_context(serving(good(), tls))}/"
        urls |= {"refusing": f"http://127.0.0.1:{closed_port()}/", "dead-name": "http://no-such-host.invalid/"}
        yield [service(name, url, **UNHURRIED | OWN_FIELDS.get(name, {})) for name, url in urls.items()]


OWN_FIELDS: dict[str, Declaration] = {
    "slow": {"degradedAfterMs": int(SLOW_S * 500)},
    "wrong-words": {"keyword": "sunshine"},
    "hanging": {"intervalSeconds": 1, "timeoutMs": 400, "degradedAfterMs": 400},
    # A resolver without a network takes some time to fail.
    "dead-name": {"intervalSeconds": 10, "timeoutMs": 10_000},
}


def service(service_id: str, url: str, **fields: Any) -> Declaration:
    """Returns the declaration of a service. By default it is checked every second."""
    return {"id": service_id, "name": service_id.title(), "endpointUrl": url, **EACH_SECOND, **fields}


def services_toml(declarations: list[Declaration]) -> str:
    """Returns the text of a services.toml. Strings and numbers of JSON are valid TOML."""
    tables = ("\n".join(f"{key} = {json.dumps(value)}" for key, value in one.items()) for one in declarations)
    return "\n\n".join(f"[[service]]\n{table}" for table in tables) + "\n"
