"""Checks with the poller for systems without epoll."""

import selectors
from typing import Any

import anyio
import pytest

from prober.probes import Engine, curl, run_check
from prober.probes.polling import SelectorPoller
from sla_monitor.settings import Settings
from tests.prober import targets
from tests.prober.services import http_service
from tests.prober.targets import serving

MANY = 80
"""More than the poller returns in one call."""


@pytest.fixture
def no_epoll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uses the poller of kqueue systems, with the selector of this system."""
    monkeypatch.setattr(curl, "new_poller", lambda: SelectorPoller(selectors.EpollSelector()))


async def statuses(port: int, count: int, **fields: Any) -> list[tuple[str, int | None]]:
    """Runs checks at the same time. Returns their severities and status codes."""
    found: list[tuple[str, int | None]] = []
    service = http_service(id="target", endpoint_url=f"http://127.0.0.1:{port}/", **fields)
    async with Engine(Settings(), certificates_every_s=0) as probe_engine, anyio.create_task_group() as tasks:

        async def check() -> None:
            outcome, judgement, _ = await run_check(service, probe_engine)
            found.append((judgement.severity, outcome.status_code))

        for _ in range(count):
            tasks.start_soon(check)
    return found


async def test_many_checks_at_once_read_their_responses(no_epoll: None) -> None:
    body = b"x" * 300_000 + b"the end"
    async with serving(targets.good(body)) as port:
        found = await statuses(port, MANY, timeout_ms=60_000, degraded_after_ms=60_000, keyword="the end")
    assert found == [("o", 200)] * MANY


async def test_a_target_that_does_not_respond_and_a_closed_port_are_failures(no_epoll: None) -> None:
    async with serving(targets.hang) as port:
        assert await statuses(port, 3, timeout_ms=300) == [("mo", None)] * 3
    assert await statuses(targets.closed_port(), 3, timeout_ms=5000) == [("mo", None)] * 3
