"""Who probes: our prober, bare libcurl and blackbox_exporter, against targets on loopback, each with its CPU."""

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

from bench.children import PROGRAM, Child, free_port, peer, running
from bench.databases import Database
from bench.exposition import answers, grown, scrape, total
from bench.run import Run, query, until
from bench.usage import cpu_seconds, spent

ADDRESSES = [f"127.0.0.{n}" for n in range(1, 9)]
"""Several, since each address of a target has ephemeral ports of its own."""
DELAY_MS = 10
WARM_UP_S = 2.0
STORED = 'sla_prober_rows_total{result="stored"}'
NO_BLACKBOX = "apt-get install prometheus-blackbox-exporter"


def targets(folder: Path, certificate: str | None = None) -> AbstractAsyncContextManager[tuple[Child, Any]]:
    """The server that is probed, at a port of all ADDRESSES."""
    return peer("targets", folder, addresses=ADDRESSES, delay_ms=DELAY_MS, certificate=certificate)


def concurrency(services: int) -> int:
    """How many probes are under way at once when each service is probed once a second."""
    return max(1, round(services * DELAY_MS / 1000))


class Prober:
    """`sla-monitor prober` against a database, started anew for each measurement."""

    def __init__(self, run: Run, database: Database, ca_file: str | None = None) -> None:
        self._run = run
        self._database = database
        self._ca_file = ca_file
        self.with_database: list[float] = []
        """Good checks a second of the CPU of prober and database server, round by round."""
        self.failed_percent: list[float] = []

    async def set_services(self, count: int, urls: list[str], *, interval_seconds: int) -> None:
        async with await self._database.connect() as connection:
            values = {"count": count, "urls": urls, "interval_seconds": interval_seconds}
            await connection.execute(query("services"), values)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Child, int]]:
        """The process and the port of its metrics."""
        port = free_port()
        environment = {
            "DATABASE_URL": self._database.url,
            "SLA_MONITOR_HOME": str(self._run.folder / f"home-{port}"),
            "WATCH_SERVER_PORT": str(port),
            "LOG_LEVEL": "warning",
            **({"SSL_CERT_FILE": self._ca_file} if self._ca_file else {}),
        }
        async with running([*PROGRAM, "prober"], self._run.folder, environment) as child:
            await until(partial(answers, port), "the prober's /metrics")
            yield child, port

    async def checks_per_cpu_second(self, services: int, seconds: float) -> float:
        async with self.running() as (child, port):
            await until(partial(stored, port, services), "the first round of checks")
            await anyio.sleep(min(WARM_UP_S, seconds))
            before, cpu, server = await scrape(port), cpu_seconds(child.pid), self._server_cpu()
            await anyio.sleep(seconds)
            used, served = spent(child.pid, cpu), self._server_cpu() - server
            after = await scrape(port)
        rows, bad = grown(before, after, STORED), grown(before, after, 'sla_prober_checks_total{severity="mo"}')
        good = rows - bad
        assert good > 0, f"all of {rows:.0f} checks failed"
        self.failed_percent.append(100 * bad / rows)
        self.with_database.append(good / (used + served))
        return good / used

    def _server_cpu(self) -> float:
        return cpu_seconds(self._database.server_pid) if self._database.server_pid else float("nan")


async def stored(port: int, rows: int) -> bool:
    return total(await scrape(port), STORED) >= rows


async def bare_rate(bare: Child, seconds: float) -> float:
    reported = await bare.ask(seconds=seconds)
    return float(reported["checks"] / reported["cpu"])  # the good ones


class Blackbox:
    def __init__(self, process: Child, client: Child) -> None:
        self._process = process
        self._client = client

    async def probes_per_cpu_second(self, seconds: float) -> float:
        cpu = cpu_seconds(self._process.pid)
        reported = await self._client.ask(seconds=seconds)
        assert not reported["lost"], reported
        return float(reported["done"] / spent(self._process.pid, cpu))


def find_blackbox() -> str | None:
    return shutil.which("prometheus-blackbox-exporter") or shutil.which("blackbox_exporter")


@asynccontextmanager
async def blackbox(
    folder: Path, urls: list[str], concurrency: int, ca_file: str | None
) -> AsyncIterator[Blackbox | None]:
    """Debian's blackbox_exporter, answering /probe to a client of ours; None where it is not installed."""
    program = find_blackbox()
    if program is None:
        yield None
        return
    tls = {"tls_config": {"ca_file": ca_file}} if ca_file else {}
    module = {"prober": "http", "timeout": "7s", "http": {"preferred_ip_protocol": "ip4", **tls}}
    config = folder / f"blackbox-{'tls' if ca_file else 'http'}.yml"
    config.write_text(json.dumps({"modules": {"http_2xx": module}}))  # JSON is YAML
    port = free_port()
    command = [program, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    async with running(command, folder) as process:
        await until(partial(answers, port), "blackbox_exporter")
        paths = [f"/probe?module=http_2xx&target={quote(url, safe='')}" for url in urls]
        load = peer(
            "http_load",
            folder,
            host="127.0.0.1",
            port=port,
            paths=paths,
            concurrency=concurrency,
            expect="probe_success 1",
        )
        async with load as (client, _):
            yield Blackbox(process, client)


def certificates(folder: Path) -> tuple[str, str]:
    """The files of an authority, and of a key with a certificate by it for all addresses."""
    authority = trustme.CA()
    ca_file, certificate = folder / "ca.pem", folder / "target.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    authority.issue_cert(*ADDRESSES).private_key_and_cert_chain_pem.write_to_path(str(certificate))
    return str(ca_file), str(certificate)
