"""Targets in PROBE_DENY_NETWORKS: they are not probed, they stay unknown, and the log has the reason."""

import logging
from ipaddress import ip_network

import pytest

from prober.judge import Judgement
from prober.outcome import Outcome, TargetDenied
from prober.probes import Engine
from prober.probes.resolver import Resolver
from prober.services import Service
from tests.prober import targets
from tests.prober.dispatching import GOOD, running_dispatch, service
from tests.prober.http_checks import check, settings
from tests.prober.services import http_service
from tests.prober.targets import serving

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0.0.0.0"])
async def test_a_target_in_a_denied_network_is_not_connected_to(host: str) -> None:
    connected = False

    async def record_connection(*_: object) -> None:
        nonlocal connected
        connected = True

    async with serving(record_connection) as port, Engine(settings(deny=LOOPBACK)) as probe_engine:
        with pytest.raises(TargetDenied, match=r"^probes may not connect to \S+ \(PROBE_DENY_NETWORKS\)$"):
            await check(probe_engine, f"http://{host}:{port}/", retries=2)
    assert not connected


async def test_only_the_allowed_addresses_of_a_name_are_tried() -> None:
    async with serving(targets.good()) as port, Engine(settings(deny=(ip_network("127.0.0.2/32"),))) as probe_engine:
        probe_engine.resolver.close()
        addresses = [(2, 1, 6, "", (address, 0)) for address in ("127.0.0.2", "127.0.0.1")]
        probe_engine.resolver = Resolver(look_up=lambda *_, **__: addresses)
        _, judgement = await check(probe_engine, f"http://two.example:{port}/", timeout_ms=5000)
        assert judgement.success, judgement
        url = f"http://two.example:{targets.closed_port()}/"
        _, judgement = await check(probe_engine, url, timeout_ms=5000)
        assert (judgement.severity, judgement.error_type) == ("mo", "connection_error")


async def test_no_check_is_recorded_and_the_reason_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def denied(checked: Service) -> tuple[Outcome, Judgement, int]:
        if checked.id == "good":
            return GOOD, Judgement(True, "o"), 1
        raise TargetDenied("probes may not connect to 10.0.0.1 (PROBE_DENY_NETWORKS)")

    good, first = service("good"), service("first")
    with caplog.at_level(logging.WARNING):
        async with running_dispatch(denied, good, first) as running:
            await running.wait_for_metric("denied_checks_total", 3)
            running.dispatch.replace(
                [good, http_service(id="first", endpoint_url="http://10.0.0.2/", interval_seconds=1)]
            )
            await running.wait_for_metric("denied_checks_total", running.metric("denied_checks_total") + 2)
    lines = [record.getMessage() for record in caplog.records]
    message = "service first is not checked and stays unknown: probes may not connect to 10.0.0.1 (PROBE_DENY_NETWORKS)"
    assert lines == [message, message], "once for each configuration of the service"
    assert {check.service_id for check in running.checks} <= {"good"}
    assert running.metric("trouble_total") == 0
