"""TCP checks over TLS."""

from pathlib import Path

import pytest

from prober.probes import Engine
from tests.prober import targets
from tests.prober.targets import serving
from tests.prober.tcp_checks import check, check_behaviour, close, greeting, responding_to_a_line


class TestTls:
    async def test_a_valid_certificate_and_its_expiry(
        self, probe_engine: Engine, certificates: targets.Certificates
    ) -> None:
        received: list[bytes] = []
        outcome, judgement = await check_behaviour(
            probe_engine, responding_to_a_line(received, b"+OK\r\n"), certificates.valid(), send=r"HI\n", expect="+OK"
        )
        assert (judgement.success, received) == (True, [b"HI\n"]), judgement
        assert outcome.tls_ms is not None and 0 < outcome.tls_ms <= outcome.total_ms
        assert outcome.inspected and outcome.certificate is not None

    @pytest.mark.parametrize(
        ("kind", "message"),
        [
            ("expired", "the certificate has expired"),
            ("untrusted", "the certificate's issuer is not trusted, or an intermediate certificate is missing"),
            ("wrong_host", "the certificate is for another host"),
            ("self_signed", "self-signed certificate"),
        ],
    )
    async def test_a_bad_certificate(
        self, probe_engine: Engine, certificates: targets.Certificates, tmp_path: Path, kind: str, message: str
    ) -> None:
        context = certificates.self_signed(tmp_path) if kind == "self_signed" else getattr(certificates, kind)()
        _, judgement = await check_behaviour(probe_engine, targets.hang, context)
        assert (judgement.error_type, judgement.error_message) == ("tls_error", message)
        outcome, judgement = await check_behaviour(probe_engine, targets.hang, context, verify_tls=False)
        assert judgement.success and outcome.certificate is not None

    async def test_a_target_without_tls(self, probe_engine: Engine) -> None:
        async with serving(greeting(b"220 mail\r\n", then=close)) as port:
            _, judgement = await check(probe_engine, port, tls=True)
        assert judgement.error_type == "tls_error"
        assert judgement.error_message == "the server does not use TLS on this port"

    async def test_a_target_that_does_not_respond_times_out_during_the_handshake(self, probe_engine: Engine) -> None:
        async with serving(targets.hang) as port:
            _, judgement = await check(probe_engine, port, tls=True, timeout_ms=300)
        assert judgement.error_message == "timed out after 300 ms during the TLS handshake"
