"""Runs the probers that are compared: the product's, bare libcurl and blackbox_exporter, against one HTTP target."""

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import trustme

from bench.databases import Database
from bench.metrics import accepts_connections, increase, scrape, total
from bench.processes import SLA_MONITOR, Child, running, running_program
from bench.run import Run, query, wait_until
from bench.usage import cpu_seconds, cpu_seconds_since
from tests.ports import free_port

ADDRESSES = [f"127.0.0.{n}" for n in range(1, 9)]
"""The addresses of the target. There are several, because each has a limited number of ephemeral ports."""
TARGET_DELAY_MS = 10
WARM_UP_S = 2.0
STORED = 'sla_prober_rows_total{result="stored"}'
FAILED_CHECKS = 'sla_prober_checks_total{severity="mo"}'
NO_BLACKBOX_EXPORTER = "apt-get install prometheus-blackbox-exporter"


def running_target(folder: Path, certificate: str | None = None) -> AbstractAsyncContextManager[tuple[Child, Any]]:
    """Runs the target on the same port of all ADDRESSES, with TLS if there is a certificate."""
    arguments = {"addresses": ADDRESSES, "delay_ms": TARGET_DELAY_MS, "certificate": certificate}
    return running_program("http_target", folder, **arguments)


def base_urls(port: int, scheme: str = "http") -> list[str]:
    """The URLs of the target."""
    return [f"{scheme}://{address}:{port}/" for address in ADDRESSES]


def service_urls(bases: list[str], services: int) -> list[str]:
    """The URL of each service, as queries/services.sql makes them."""
    return [bases[n % len(bases)] + str(n) for n in range(1, services + 1)]


def concurrency(services: int) -> int:
    """The number of probes in progress if each service is probed once a second."""
    return max(1, round(services * TARGET_DELAY_MS / 1000))


class Prober:
    """`sla-monitor prober` on a database. Each measurement starts a new process."""

    def __init__(self, run: Run, database: Database, ca_file: str | None = None) -> None:
        self._run = run
        self._database = database
        self._ca_file = ca_file
        self.with_database: list[float] = []
        """Successful checks per second of CPU time of the prober and the database server, one figure per round."""
        self.failed_percent: list[float] = []
        """The share of failed checks, one figure per round."""

    async def create_services(self, count: int, bases: list[str], *, interval_seconds: int) -> None:
        async with await self._database.connect() as connection:
            values = {"count": count, "urls": bases, "interval_seconds": interval_seconds}
            await connection.execute(query("services"), values)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Child, int]]:
        """Yields the process and the port of its metrics."""
        port = free_port()
        environment = {
            "DATABASE_URL": self._database.url,
            "SLA_MONITOR_HOME": str(self._run.folder / f"home-{port}"),
            "WATCH_SERVER_PORT": str(port),
            "LOG_LEVEL": "warning",
            **({"SSL_CERT_FILE": self._ca_file} if self._ca_file else {}),
        }
        async with running([*SLA_MONITOR, "prober"], self._run.folder, environment) as child:
            await wait_until(partial(accepts_connections, port), "/metrics of the prober")
            yield child, port

    async def checks_per_cpu_second(self, services: int, seconds: float) -> float:
        """Successful checks that were stored, per second of the prober's CPU time."""
        async with self.running() as (child, port):
            await wait_until(partial(has_stored, port, services), "the first check of every service")
            await anyio.sleep(min(WARM_UP_S, seconds))
            before, cpu, database_cpu = await scrape(port), cpu_seconds(child.pid), self._database_cpu_seconds()
            await anyio.sleep(seconds)
            cpu, database_cpu = cpu_seconds_since(child.pid, cpu), self._database_cpu_seconds() - database_cpu
            after = await scrape(port)
        stored, failed = increase(before, after, STORED), increase(before, after, FAILED_CHECKS)
        good = stored - failed
        assert good > 0, f"all of {stored:.0f} checks failed"
        self.failed_percent.append(100 * failed / stored)
        self.with_database.append(good / (cpu + database_cpu))
        return good / cpu

    def _database_cpu_seconds(self) -> float:
        return cpu_seconds(self._database.server_pid) if self._database.server_pid else float("nan")


async def has_stored(port: int, rows: int) -> bool:
    """Whether the prober whose metrics are at this port has stored at least `rows` rows."""
    return total(await scrape(port), STORED) >= rows


async def libcurl_checks_per_cpu_second(libcurl: Child, seconds: float) -> float:
    """Successful checks of bare libcurl, per second of its CPU time."""
    done = await libcurl.request(seconds=seconds)
    return float(done["checks"] / done["cpu"])


class BlackboxExporter:
    """A running blackbox_exporter, and a client that requests its probes."""

    def __init__(self, process: Child, client: Child) -> None:
        self._process = process
        self._client = client

    async def probes_per_cpu_second(self, seconds: float) -> float:
        """Successful probes per second of the CPU time of blackbox_exporter."""
        before = cpu_seconds(self._process.pid)
        done = await self._client.request(seconds=seconds)
        assert not done["lost"], done
        return float(done["done"] / cpu_seconds_since(self._process.pid, before))


def find_blackbox_exporter() -> str | None:
    """The path of the program, under the name in Debian or the original one."""
    return shutil.which("prometheus-blackbox-exporter") or shutil.which("blackbox_exporter")


@asynccontextmanager
async def running_blackbox_exporter(
    folder: Path, urls: list[str], concurrency: int, ca_file: str | None
) -> AsyncIterator[BlackboxExporter | None]:
    """Runs blackbox_exporter and a client of its /probe; yields None if it is not installed."""
    program = find_blackbox_exporter()
    if program is None:
        yield None
        return
    tls = {"tls_config": {"ca_file": ca_file}} if ca_file else {}
    module = {"prober": "http", "timeout": "7s", "http": {"preferred_ip_protocol": "ip4", **tls}}
    config = folder / f"blackbox-{'tls' if ca_file else 'http'}.yml"
    config.write_text(json.dumps({"modules": {"http_2xx": module}}))  # JSON is valid YAML
    port = free_port()
    command = [program, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    async with running(command, folder) as process:
        await wait_until(partial(accepts_connections, port), "blackbox_exporter")
        load = running_program(
            "http_load",
            folder,
            host="127.0.0.1",
            port=port,
            paths=[f"/probe?module=http_2xx&target={quote(url, safe='')}" for url in urls],
            concurrency=concurrency,
            expect="probe_success 1",
        )
        async with load as (client, _):
            yield BlackboxExporter(process, client)


def create_certificates(folder: Path) -> tuple[str, str]:
    """Writes the certificate of a CA, and the key and certificate of the target. Returns the paths of both files."""
    ca = trustme.CA()
    ca_file, certificate = folder / "ca.pem", folder / "target.pem"
    ca.cert_pem.write_to_path(str(ca_file))
    ca.issue_cert(*ADDRESSES).private_key_and_cert_chain_pem.write_to_path(str(certificate))
    return str(ca_file), str(certificate)
