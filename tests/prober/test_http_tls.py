"""HTTP checks over TLS: certificates and handshakes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from prober.probes import Engine
from tests.prober import targets
from tests.prober.http_checks import check, settings
from tests.prober.targets import serving


class TestTls:
    async def test_a_valid_certificate(self, probe_engine: Engine, certificates: targets.Certificates) -> None:
        async with serving(targets.good(), certificates.valid()) as port:
            outcome, judgement = await check(probe_engine, f"https://127.0.0.1:{port}/", timeout_ms=3000)
        assert judgement.success, judgement
        assert outcome.tls_ms is not None and outcome.tls_ms > 0

    async def test_the_expiry_and_the_issuer_are_read(
        self, probe_engine: Engine, certificates: targets.Certificates
    ) -> None:
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=40)
        async with serving(targets.good(), certificates.valid(until)) as port:
            outcome, _ = await check(probe_engine, f"https://127.0.0.1:{port}/", timeout_ms=3000)
        assert outcome.certificate is not None
        assert outcome.certificate.expires_at == until
        assert outcome.certificate.issuer is not None and outcome.certificate.issuer.startswith("trustme")

    async def test_the_expiry_of_an_expired_certificate_is_read_without_verification(
        self, probe_engine: Engine, certificates: targets.Certificates
    ) -> None:
        async with serving(targets.good(), certificates.expired()) as port:
            outcome, _ = await check(probe_engine, f"https://127.0.0.1:{port}/", timeout_ms=3000, verify_tls=False)
            assert outcome.certificate is not None
            assert outcome.certificate.expires_at < datetime.now(UTC)
            outcome, _ = await check(probe_engine, f"https://127.0.0.1:{port}/", timeout_ms=3000)
            assert outcome.certificate is None, "a failed handshake has no certificate"

    async def test_of_two_locations_the_earlier_expiry_counts(
        self, probe_engine: Engine, certificates: targets.Certificates
    ) -> None:
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
        async with (
            serving(targets.good(), certificates.valid(until + timedelta(days=3))) as second,
            serving(
                targets.good(b"", "302 Found", f"Location: https://127.0.0.1:{second}/\r\n"), certificates.valid(until)
            ) as port,
        ):
            outcome, judgement = await check(probe_engine, f"https://127.0.0.1:{port}/", timeout_ms=3000)
        assert judgement.success, judgement
        assert outcome.certificate is not None
        assert outcome.certificate.expires_at == until

    async def test_the_certificate_is_read_once_an_hour(self, certificates: targets.Certificates) -> None:
        async with (
            serving(targets.good(), certificates.valid()) as port,
            Engine(settings(certificates.ca_file)) as probe_engine,
        ):
            url = f"https://127.0.0.1:{port}/"
            has_certificate = [
                (await check(probe_engine, url, timeout_ms=3000))[0].certificate is not None for _ in range(3)
            ]
        assert has_certificate == [True, False, False]

    async def test_a_certificate_read_by_a_failed_attempt_is_read_again(
        self, certificates: targets.Certificates
    ) -> None:
        """Only the outcome of the last attempt is recorded."""
        async with (
            serving(targets.good(), certificates.valid()) as port,
            Engine(settings(certificates.ca_file)) as probe_engine,
        ):
            url = f"https://127.0.0.1:{port}/"
            outcome, judgement = await check(
                probe_engine, url, timeout_ms=3000, retries=1, keyword="absent", interval_seconds=1
            )
        assert judgement.error_type == "assertion_failed"
        assert outcome.certificate is not None

    @pytest.mark.parametrize(
        ("kind", "message"),
        [
            ("expired", "the certificate has expired"),
            ("wrong_host", "the certificate is for another host"),
            ("untrusted", "issuer is not trusted"),
        ],
    )
    async def test_a_bad_certificate(
        self, probe_engine: Engine, certificates: targets.Certificates, kind: str, message: str
    ) -> None:
        async with serving(targets.good(), getattr(certificates, kind)()) as port:
            _, judgement = await check(probe_engine, f"https://127.0.0.1:{port}/", timeout_ms=3000)
            assert judgement.error_type == "tls_error"
            assert message in (judgement.error_message or "")
            _, judgement = await check(probe_engine, f"https://127.0.0.1:{port}/", timeout_ms=3000, verify_tls=False)
            assert judgement.success, judgement
            _, judgement = await check(probe_engine, f"https://127.0.0.1:{port}/", timeout_ms=3000)
            assert judgement.error_type == "tls_error", "the check without verification does not affect the next"

    async def test_a_self_signed_certificate(
        self, probe_engine: Engine, certificates: targets.Certificates, tmp_path: Path
    ) -> None:
        async with serving(targets.good(), certificates.self_signed(tmp_path)) as port:
            _, judgement = await check(probe_engine, f"https://127.0.0.1:{port}/", timeout_ms=3000)
        assert (judgement.error_type, judgement.error_message) == ("tls_error", "self-signed certificate")

    async def test_a_target_without_tls(self, probe_engine: Engine) -> None:
        async with serving(targets.endless(b"", b"HTTP/1.1 400 Bad\r\n\r\n", 0.02)) as port:
            _, judgement = await check(probe_engine, f"https://127.0.0.1:{port}/", timeout_ms=1000)
        assert judgement.error_type in ("tls_error", "timeout")

    async def test_a_timeout_of_the_handshake_names_its_phase(self, probe_engine: Engine) -> None:
        async with serving(targets.hang) as port:
            _, judgement = await check(probe_engine, f"https://127.0.0.1:{port}/")
        assert judgement.error_type == "timeout"
        assert "during the TLS handshake" in (judgement.error_message or "")
