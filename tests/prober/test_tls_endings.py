"""TLS connections that fail or are closed after the handshake."""

import gzip
import ssl
from pathlib import Path
from typing import Any

import pytest

from prober.judge import Judgement
from prober.outcome import Outcome
from prober.probes import Engine
from tests.prober import targets
from tests.prober.http_checks import check
from tests.prober.tls_targets import (
    TlsBehaviour,
    client_certificates_required,
    handshake_only,
    responding_without_close_notify,
    tls_serving,
)

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall is well"
CODED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"all is well")


async def check_tls(
    probe_engine: Engine, context: ssl.SSLContext, serve: TlsBehaviour, **fields: Any
) -> tuple[Outcome, Judgement]:
    with tls_serving(context, serve) as port:
        return await check(probe_engine, f"https://127.0.0.1:{port}/", **{"timeout_ms": 5000} | fields)


class TestWithoutCloseNotify:
    @pytest.mark.parametrize(
        "raw", [PLAIN, CODED, targets.http_response(b"all is well")], ids=["plain", "coded", "sized"]
    )
    @pytest.mark.parametrize("fields", [{}, {"keyword": "well"}, {"keyword_absent": "FATAL"}])
    async def test_a_body_that_ends_with_the_connection_is_complete(
        self, probe_engine: Engine, certificates: targets.Certificates, raw: bytes, fields: dict[str, str]
    ) -> None:
        outcome, judgement = await check_tls(
            probe_engine, certificates.valid(), responding_without_close_notify(raw), **fields
        )
        assert judgement.success, judgement
        assert outcome.body == (b"all is well" if fields else b"")
        assert outcome.status_code == 200 and outcome.first_byte_ms is not None

    async def test_status_and_body_are_judged(self, probe_engine: Engine, certificates: targets.Certificates) -> None:
        serve = responding_without_close_notify(PLAIN)
        _, judgement = await check_tls(probe_engine, certificates.valid(), serve, keyword_absent="well")
        assert judgement.error_message == 'the response contains "well"'
        _, judgement = await check_tls(probe_engine, certificates.valid(), serve, expected_status_codes=(204,))
        assert judgement.error_message == "HTTP 200, expected 204"

    async def test_a_redirect_is_followed(self, probe_engine: Engine, certificates: targets.Certificates) -> None:
        async with targets.serving(targets.good()) as port:
            raw = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{port}/\r\n\r\nmoved".encode()
            outcome, judgement = await check_tls(
                probe_engine, certificates.valid(), responding_without_close_notify(raw)
            )
        assert judgement.success and outcome.redirects == 1

    @pytest.mark.parametrize(
        ("raw", "message"),
        [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", "in the middle of the response"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", "in the middle of the response"),
            (b"HTTP/1.1 200 OK\r\nContent-Type: text/pl", "in the middle of the response"),
            (b"", "without a response"),
        ],
        ids=["too short", "no last chunk", "half a head", "nothing"],
    )
    async def test_an_incomplete_response_is_an_error(
        self, probe_engine: Engine, certificates: targets.Certificates, raw: bytes, message: str
    ) -> None:
        _, judgement = await check_tls(probe_engine, certificates.valid(), responding_without_close_notify(raw))
        assert judgement.error_type == "connection_error", judgement
        assert f"the connection was closed {message}" in (judgement.error_message or "")


class TestAlerts:
    @pytest.mark.parametrize(
        ("version", "alert"),
        [(ssl.TLSVersion.TLSv1_3, "certificate required"), (ssl.TLSVersion.TLSv1_2, "handshake failure")],
    )
    async def test_a_client_certificate_is_required(
        self, probe_engine: Engine, certificates: targets.Certificates, version: ssl.TLSVersion, alert: str
    ) -> None:
        context = client_certificates_required(certificates, version)
        _, judgement = await check_tls(probe_engine, context, handshake_only)
        assert judgement.error_type == "tls_error", judgement
        assert f'(TLS alert "{alert}")' in (judgement.error_message or "")

    async def test_an_alert_during_the_handshake_is_named(
        self, probe_engine: Engine, certificates: targets.Certificates, tmp_path: Path
    ) -> None:
        context = certificates.valid()

        def unknown_host(*_: Any) -> int:
            return ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

        context.sni_callback = unknown_host
        with tls_serving(context, handshake_only) as port:
            _, judgement = await check(probe_engine, f"https://localhost:{port}/", timeout_ms=5000)
        assert judgement.error_type == "tls_error", judgement
        assert judgement.error_message == 'the server does not know the host name (TLS alert "unrecognized name")'
