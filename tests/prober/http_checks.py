"""Runs HTTP checks, with a short timeout by default."""

from pathlib import Path
from typing import Any

import anyio

from prober.judge import Judgement
from prober.outcome import Outcome
from prober.probes import Engine, run_check
from prober.services import Service
from sla_monitor.formats.networks import Network
from sla_monitor.settings import Settings
from tests.prober.services import http_service
from tests.prober.targets import Behaviour, serving

TIMEOUT_MS = 400
SLACK_S = 10.0
"""More time for a loaded machine. A check that never ends takes longer."""
MAX_BYTES = 64 * 1024


def settings(ca_file: Path | None = None, deny: tuple[Network, ...] | None = None) -> Settings:
    denied = Settings().probe_deny_networks if deny is None else deny
    return Settings(probe_max_bytes=MAX_BYTES, ca_file=ca_file, probe_deny_networks=denied)


def service(url: str, **fields: Any) -> Service:
    return http_service(id="target", endpoint_url=url, **{"timeout_ms": TIMEOUT_MS} | fields)


async def check(probe_engine: Engine, url: str, **fields: Any) -> tuple[Outcome, Judgement]:
    """`fields` are those of the service and of its configuration. Raises TimeoutError if the check takes too long."""
    checked = service(url, **fields)
    with anyio.fail_after((1 + checked.retries) * checked.timeout_ms / 1000 + checked.retries + SLACK_S):
        outcome, judgement, _ = await run_check(checked, probe_engine)
    return outcome, judgement


async def check_behaviour(probe_engine: Engine, behaviour: Behaviour, **fields: Any) -> tuple[Outcome, Judgement]:
    """Checks a target with this behaviour."""
    async with serving(behaviour) as port:
        return await check(probe_engine, f"http://127.0.0.1:{port}/", **fields)
