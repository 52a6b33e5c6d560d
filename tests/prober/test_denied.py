"""Targets that PROBE_DENY_NETWORKS forbids: nobody asks them, so they are unknown, and it is said why."""

import logging
from ipaddress import ip_network

import pytest

from prober.judge import Judgement
from prober.outcome import Outcome, TargetDenied
from prober.probes import Engine
from prober.probes.resolver import Resolver
from prober.services import Service
from tests.prober import targets
from tests.prober.rounds import GOOD, dispatching, service
from tests.prober.services import http_service
from tests.prober.targets import serving
from tests.prober.test_http_probe import check, settings

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0.0.0.0"])
async def test_a_target_in_a_denied_network_is_not_judged(host: str) -> None:
    connected = False

    async def note(*_: object) -> None:
        nonlocal connected
        connected = True

    async with serving(note) as port, Engine(settings(deny=LOOPBACK)) as prober:
        with pytest.raises(TargetDenied, match=r"^probes may not connect to \S+ \(PROBE_DENY_NETWORKS\)$"):
            await check(prober, f"http://{host}:{port}/", retries=2)
    assert not connected


async def test_a_name_with_another_address_is_judged_by_that() -> None:
    """Of several addresses those that are allowed are tried: what they do is known."""
    async with serving(targets.good()) as port, Engine(settings(deny=(ip_network("127.0.0.2/32"),))) as prober:
        prober.resolver.close()
        addresses = [(2, 1, 6, "", (address, 0)) for address in ("127.0.0.2", "127.0.0.1")]
        prober.resolver = Resolver(look_up=lambda *_, **__: addresses)
        _, judgement = await check(prober, f"http://two.example:{port}/", timeout_ms=5000)
        assert judgement.success, judgement
        url = f"http://two.example:{targets.closed_port()}/"
        _, judgement = await check(prober, url, timeout_ms=5000)
        assert (judgement.severity, judgement.error_type) == ("mo", "connection_error")


async def test_no_check_is_recorded_and_the_reason_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def denied(asked: Service) -> tuple[Outcome, Judgement, int]:
        if asked.id == "good":
            return GOOD, Judgement(True, "o"), 1
        raise TargetDenied("probes may not connect to 10.0.0.1 (PROBE_DENY_NETWORKS)")

    good, first = service("good"), service("first")
    with caplog.at_level(logging.WARNING):
        async with dispatching(denied, good, first) as this:
            await this.counted("denied_checks_total", 3)
            this.dispatch.replace([good, http_service(id="first", endpoint_url="http://10.0.0.2/", interval_seconds=1)])
            await this.counted("denied_checks_total", this.value("denied_checks_total") + 2)
    lines = [record.getMessage() for record in caplog.records]
    told = "service first is not checked and stays unknown: probes may not connect to 10.0.0.1 (PROBE_DENY_NETWORKS)"
    assert lines == [told, told], "once, and once more when the service was changed"
    assert {check.service_id for check in this.checks} <= {"good"}
    assert this.value("trouble_total") == 0
