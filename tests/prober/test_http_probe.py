"""The HTTP probe against real little servers: what each is called, and that none outlives the deadline."""

import errno
import resource
import socket
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from prober.judge import Judgement
from prober.outcome import Outcome, ProberTrouble
from prober.probes import Engine, run_check
from prober.probes.resolver import Resolver
from prober.services import Service
from sla_monitor.settings import Settings
from sla_monitor.settings.values import Network
from tests.prober import targets
from tests.prober.services import http_service
from tests.prober.targets import Behaviour, serving

TIMEOUT_MS = 400
SLACK_S = 10.0  # of a busy machine; what never ended would take longer still
MAX_BYTES = 64 * 1024


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> targets.Certificates:
    return targets.Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def prober(certificates: targets.Certificates) -> AsyncIterator[Engine]:
    async with Engine(settings(certificates.ca_file), certificates_every_s=0) as engine:
        yield engine


def settings(ca_file: Path | None = None, deny: tuple[Network, ...] | None = None) -> Settings:
    denied = Settings().probe_deny_networks if deny is None else deny
    return Settings(probe_max_bytes=MAX_BYTES, ca_file=ca_file, probe_deny_networks=denied)


def service(url: str, **fields: Any) -> Service:
    return http_service(id="target", endpoint_url=url, **{"timeout_ms": TIMEOUT_MS} | fields)


async def check(prober: Engine, url: str, **fields: Any) -> tuple[Outcome, Judgement]:
    asked = service(url, **fields)
    with anyio.fail_after((1 + asked.retries) * asked.timeout_ms / 1000 + asked.retries + SLACK_S):
        outcome, judgement, _ = await run_check(asked, prober)
    return outcome, judgement


async def check_behaviour(prober: Engine, behaviour: Behaviour, **fields: Any) -> tuple[Outcome, Judgement]:
    async with serving(behaviour) as port:
        return await check(prober, f"http://127.0.0.1:{port}/", **fields)


class TestGoodAnswers:
    async def test_a_good_answer_has_its_phases(self, prober: Engine) -> None:
        outcome, judgement = await check_behaviour(prober, targets.good())
        assert (judgement.success, judgement.severity, outcome.status_code) == (True, "o", 200)
        assert outcome.dns_ms is None and outcome.tls_ms is None
        assert outcome.connect_ms is not None and outcome.first_byte_ms is not None
        assert 0 <= outcome.connect_ms + outcome.first_byte_ms <= outcome.total_ms
        assert outcome.address == "127.0.0.1"

    async def test_a_name_is_looked_up(self, prober: Engine) -> None:
        async with serving(targets.good()) as port:
            outcome, judgement = await check(prober, f"http://localhost:{port}/")
        assert judgement.success
        assert outcome.dns_ms is not None and outcome.dns_ms <= outcome.total_ms

    async def test_a_slow_answer_is_a_partial_outage(self, prober: Engine) -> None:
        _, judgement = await check_behaviour(prober, targets.good(), degraded_after_ms=0)
        assert (judgement.success, judgement.severity) == (True, "po")

    async def test_wrong_status(self, prober: Engine) -> None:
        outcome, judgement = await check_behaviour(prober, targets.good(status="500 Oops"))
        assert outcome.status_code == 500
        assert (judgement.error_type, judgement.error_message) == ("http_error", "HTTP 500, expected 200")

    async def test_unicode_everywhere(self, prober: Engine) -> None:
        heads: list[bytes] = []
        raw = targets.answer("grüß dich, 세계".encode())
        async with serving(targets.recording(heads, raw)) as port:
            url = f"http://127.0.0.1:{port}/größe?q=세계"
            _, judgement = await check(prober, url, keyword="세계", headers={"X-Name": "Jürgen"})
        assert judgement.success
        assert b"/gr%C3%B6%C3%9Fe?q=%EC%84%B8%EA%B3%84 HTTP/1.1" in heads[0]
        assert "X-Name: Jürgen".encode() in heads[0]

    async def test_what_is_sent(self, prober: Engine) -> None:
        heads: list[bytes] = []
        async with serving(targets.recording(heads, targets.answer())) as port:
            url = f"http://127.0.0.1:{port}/"
            await check(prober, url, method="POST", body='{"a": 1}', headers={"Content-Type": "application/json"})
            await check(prober, url)
        first, second = (head.decode() for head in heads)
        assert first.startswith("POST / HTTP/1.1") and "Content-Type: application/json" in first
        assert "Accept-Encoding: identity" in first and "User-Agent: sla-monitor/" in first
        assert second.startswith("GET / HTTP/1.1"), "a reused handle forgets the last request"
        assert "Content-Type" not in second and "Content-Length" not in second

    async def test_head(self, prober: Engine) -> None:
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
        _, judgement = await check_behaviour(prober, targets.answering(raw), method="HEAD")
        assert judgement.success

    async def test_the_environments_proxy_is_not_used(self, prober: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{targets.closed_port()}")
        _, judgement = await check_behaviour(prober, targets.good())
        assert judgement.success

    async def test_retries_are_counted_and_the_last_attempt_decides(self, prober: Engine) -> None:
        answers = [targets.answer(status="503 Busy"), targets.answer()]

        async def flaky(reader: Any, writer: Any) -> None:
            await targets.answering(answers.pop(0))(reader, writer)

        async with serving(flaky) as port:
            flaky_service = service(f"http://127.0.0.1:{port}/", retries=2, interval_seconds=1)
            with anyio.fail_after(120):
                _, judgement, attempts = await run_check(flaky_service, prober)
        assert (judgement.success, attempts) == (True, 2)


class TestHostileAnswers:
    """Every one of them ends by the deadline, in bounded memory, with a word for it."""

    @pytest.mark.parametrize("keyword", [None, "x"])
    @pytest.mark.parametrize(
        ("length", "error_type"),
        [
            ("9" * 23, "http_error"),
            (str(2**63), "http_error"),
            (str(2**63 - 1), "connection_error"),
            ("-5", "http_error"),
            ("five", "http_error"),
            ("6", "connection_error"),
            ("5\r\nContent-Length: 7", "http_error"),
        ],
    )
    async def test_a_content_length_that_is_not_what_arrives(
        self, prober: Engine, length: str, error_type: str, keyword: str | None
    ) -> None:
        """Unless the verdict was certain before the connection ended: the keyword had come."""
        raw = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nxxxxx".encode()
        _, judgement = await check_behaviour(prober, targets.answering(raw), keyword=keyword)
        expected = (True, None) if keyword == "x" and error_type == "connection_error" else (False, error_type)
        assert (judgement.success, judgement.error_type) == expected

    @pytest.mark.parametrize(
        ("behaviour", "phase"),
        [
            (targets.hang, "while waiting for the first byte"),
            (targets.endless(b"HTTP/1.1 200 OK\r\n", b"X-Drip: 1\r\n", 0.02), "while reading the answer"),
            (targets.endless(targets.answer(b"x" * 9999)[:-9999], b"x", 0.02), "while reading the answer"),
            (targets.endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02), "while "),
        ],
        ids=["hang", "drip header", "drip body", "endless 100-continue"],
    )
    async def test_it_is_a_timeout(self, prober: Engine, behaviour: Behaviour, phase: str) -> None:
        outcome, judgement = await check_behaviour(prober, behaviour)
        assert judgement.error_type == "timeout"
        assert f"timed out after {TIMEOUT_MS} ms {phase}" in (judgement.error_message or "")
        assert outcome.total_ms < TIMEOUT_MS + 250

    @pytest.mark.parametrize(
        ("behaviour", "error_type", "message"),
        [
            (targets.reset_in_answer, "connection_error", "connection reset while reading the answer"),
            (targets.close_silently, "connection_error", "closed without an answer"),
            (
                targets.answering(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort"),
                "connection_error",
                "closed in the middle of the answer",
            ),
            (targets.answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "http_error", "not a valid HTTP answer"),
            (targets.answering(b"HTTP/1.1 2x0 \x00\r\n\r\n"), "http_error", "not a valid HTTP answer"),
            (
                targets.answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
                "http_error",
                "not a valid HTTP answer",
            ),
            (
                targets.endless(b"HTTP/1.1 200 OK\r\n", b"X-Bomb: " + b"x" * 9000 + b"\r\n"),
                "http_error",
                "headers",
            ),
            (targets.endless(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 9000), "http_error", "headers"),
        ],
        ids=[
            "RST in the answer",
            "empty reply",
            "too short for its Content-Length",
            "not HTTP",
            "bad status line",
            "bad chunk",
            "header bomb",
            "endless header line",
        ],
    )
    async def test_it_is_a_failure(self, prober: Engine, behaviour: Behaviour, error_type: str, message: str) -> None:
        _, judgement = await check_behaviour(prober, behaviour, timeout_ms=2000)
        assert (judgement.severity, judgement.error_type) == ("mo", error_type), judgement
        assert message in (judgement.error_message or "")

    async def test_more_than_its_content_length_is_ignored(self, prober: Engine) -> None:
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and much more"
        outcome, judgement = await check_behaviour(prober, targets.answering(raw), keyword="ok")
        assert judgement.success and outcome.body == b"ok"

    async def test_an_endless_body_is_cut(self, prober: Engine) -> None:
        flood = targets.endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536)
        outcome, judgement = await check_behaviour(prober, flood, timeout_ms=3000)
        assert judgement.success and outcome.truncated
        assert outcome.body == b"", "nobody asked for it"
        outcome, judgement = await check_behaviour(prober, flood, timeout_ms=3000, keyword="needle")
        assert judgement.error_type == "assertion_failed"
        assert f"only the first {MAX_BYTES} bytes" in (judgement.error_message or "")
        assert len(outcome.body) == MAX_BYTES

    async def test_control_characters_do_not_reach_the_message(self, prober: Engine) -> None:
        raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\x1b[31m\r\n"
        _, judgement = await check_behaviour(prober, targets.answering(raw))
        assert judgement.error_message is not None and judgement.error_message.isprintable()


class TestUnreachable:
    async def test_closed_port(self, prober: Engine) -> None:
        _, judgement = await check(prober, f"http://127.0.0.1:{targets.closed_port()}/")
        assert (judgement.error_type, judgement.error_message) == ("connection_error", "connection refused")

    async def test_dead_name(self, prober: Engine) -> None:
        outcome, judgement = await check(prober, "http://no-such-host.invalid/", timeout_ms=5000)
        assert judgement.error_type == "dns_error", judgement
        assert outcome.connect_ms is None

    @pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..b.example"])
    async def test_a_name_that_cannot_exist(self, prober: Engine, host: str) -> None:
        _, judgement = await check(prober, f"http://{host}/", timeout_ms=5000)
        assert (judgement.error_type, judgement.error_message) == ("dns_error", "not a valid host name")

    async def test_credentials_stay_out_of_messages(self, prober: Engine) -> None:
        for url in (
            f"http://alice:s3cret@127.0.0.1:{targets.closed_port()}/",
            "http://alice:s3cret@no-such-host.invalid/",
            "ftp://alice:s3cret@127.0.0.1/",
            "http://alice:s3cret@[::bad/",
        ):
            _, judgement = await check(prober, url, timeout_ms=5000)
            assert judgement.error_message is not None
            assert "s3cret" not in judgement.error_message and "alice" not in judgement.error_message


class TestRedirects:
    async def test_followed(self, prober: Engine) -> None:
        async with serving(targets.good()) as port:
            there = targets.good(status="302 Found", headers=f"Location: http://localhost:{port}/x\r\n")
            outcome, judgement = await check_behaviour(prober, there)
        assert judgement.success and outcome.redirects == 1
        assert outcome.dns_ms is not None, "the second hop's name was looked up"
        assert outcome.total_ms >= (outcome.connect_ms or 0) + (outcome.first_byte_ms or 0)

    async def test_zero_makes_the_redirect_the_answer(self, prober: Engine) -> None:
        there = targets.good(status="302 Found", headers="Location: /x\r\n")
        outcome, _ = await check_behaviour(prober, there, follow_redirects=0)
        assert outcome.status_code == 302 and outcome.error_type is None

    async def test_a_loop_ends(self, prober: Engine) -> None:
        there = targets.good(status="302 Found", headers="Location: /\r\n")
        outcome, judgement = await check_behaviour(prober, there, follow_redirects=3, timeout_ms=5000)
        assert (judgement.error_type, judgement.error_message) == ("http_error", "more than 3 redirects")
        assert outcome.redirects == 3

    async def test_one_deadline_over_all_hops(self, prober: Engine) -> None:
        async def slow(reader: Any, writer: Any) -> None:
            await anyio.sleep(0.1)
            await targets.good(status="302 Found", headers="Location: /\r\n")(reader, writer)

        outcome, judgement = await check_behaviour(prober, slow, follow_redirects=20)
        assert judgement.error_type == "timeout"
        assert outcome.total_ms < TIMEOUT_MS + 250

    @pytest.mark.parametrize(("location", "error"), [("http://h\xff.invalid/", "dns_error"), ("/\xff", "http_error")])
    async def test_an_address_of_any_bytes_is_a_verdict(self, prober: Engine, location: str, error: str) -> None:
        async with serving(targets.good(status="404 Not Found")) as port:
            onward = location if location.startswith("http") else f"http://127.0.0.1:{port}{location}"
            raw = b"HTTP/1.1 302 Found\r\nLocation: " + onward.encode("latin-1") + b"\r\nContent-Length: 0\r\n\r\n"
            _, judgement = await check_behaviour(prober, targets.answering(raw), timeout_ms=5000)
        assert judgement.error_type == error

    @pytest.mark.parametrize("location", ["file:///etc/passwd", "gopher://127.0.0.1:70/", "ftp://127.0.0.1/"])
    async def test_other_schemes_are_not_followed(self, prober: Engine, location: str) -> None:
        there = targets.good(status="302 Found", headers=f"Location: {location}\r\n")
        _, judgement = await check_behaviour(prober, there)
        assert judgement.error_type == "http_error"
        assert "redirected to not an http(s) address" in (judgement.error_message or "")

    @pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "2852039166", "0xa9.254.43518"])
    async def test_a_redirect_to_a_denied_network_is_a_failure(self, prober: Engine, host: str) -> None:
        there = targets.good(status="302 Found", headers=f"Location: http://{host}/latest/meta-data/\r\n")
        outcome, judgement = await check_behaviour(prober, there)
        assert judgement.error_type == "connection_error"
        assert "169.254.169.254 (PROBE_DENY_NETWORKS)" in (judgement.error_message or "").replace(
            "a9fe:a9fe", "169.254.169.254"
        )
        assert outcome.total_ms < TIMEOUT_MS, "it was refused, not tried"

    async def test_credentials_and_headers_do_not_go_to_another_host(self, prober: Engine) -> None:
        heads: list[bytes] = []
        async with serving(targets.recording(heads, targets.answer())) as port:
            there = targets.answer(status="307 Go", headers=f"Location: http://localhost:{port}/\r\n")
            async with serving(targets.recording(heads, there)) as first_port:
                _, judgement = await check(
                    prober, f"http://alice:s3cret@127.0.0.1:{first_port}/", headers={"X-Api-Key": "k3y"}
                )
        assert judgement.success
        assert b"Authorization: Basic" in heads[0] and b"k3y" in heads[0]
        assert b"Authorization" not in heads[1] and b"k3y" not in heads[1]

    async def test_credentials_and_headers_stay_with_their_host(self, prober: Engine) -> None:
        heads: list[bytes] = []
        raws = [targets.answer(status="302 Found", headers="Location: /next\r\n"), targets.answer()]

        async def twice(reader: Any, writer: Any) -> None:
            await targets.recording(heads, raws.pop(0))(reader, writer)

        async with serving(twice) as port:
            await check(prober, f"http://alice:s3cret@127.0.0.1:{port}/", headers={"X-Api-Key": "k3y"})
        assert all(b"Authorization: Basic" in head and b"k3y" in head for head in heads) and len(heads) == 2

    async def test_credentials_do_not_stay_on_the_handle(self, prober: Engine) -> None:
        heads: list[bytes] = []
        async with serving(targets.recording(heads, targets.answer())) as port:
            await check(prober, f"http://alice:s3cret@127.0.0.1:{port}/")
            await check(prober, f"http://127.0.0.1:{port}/")
        assert b"Authorization" not in heads[1]


class TestTls:
    async def test_a_valid_certificate(self, prober: Engine, certificates: targets.Certificates) -> None:
        async with serving(targets.good(), certificates.valid()) as port:
            outcome, judgement = await check(prober, f"https://127.0.0.1:{port}/", timeout_ms=3000)
        assert judgement.success, judgement
        assert outcome.tls_ms is not None and outcome.tls_ms > 0

    async def test_when_the_certificate_expires(self, prober: Engine, certificates: targets.Certificates) -> None:
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=40)
        async with serving(targets.good(), certificates.valid(until)) as port:
            outcome, _ = await check(prober, f"https://127.0.0.1:{port}/", timeout_ms=3000)
        assert outcome.certificate is not None
        assert outcome.certificate.expires_at == until
        assert outcome.certificate.issuer is not None and outcome.certificate.issuer.startswith("trustme")

    async def test_an_expired_certificate_tells_when_where_it_is_not_verified(
        self, prober: Engine, certificates: targets.Certificates
    ) -> None:
        async with serving(targets.good(), certificates.expired()) as port:
            outcome, _ = await check(prober, f"https://127.0.0.1:{port}/", timeout_ms=3000, verify_tls=False)
            assert outcome.certificate is not None
            assert outcome.certificate.expires_at < datetime.now(UTC)
            outcome, _ = await check(prober, f"https://127.0.0.1:{port}/", timeout_ms=3000)
            assert outcome.certificate is None, "a failed handshake tells nothing"

    async def test_of_two_hops_the_first_to_expire(self, prober: Engine, certificates: targets.Certificates) -> None:
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
        async with (
            serving(targets.good(), certificates.valid(until + timedelta(days=3))) as onward,
            serving(
                targets.good(b"", "302 Found", f"Location: https://127.0.0.1:{onward}/\r\n"), certificates.valid(until)
            ) as port,
        ):
            outcome, judgement = await check(prober, f"https://127.0.0.1:{port}/", timeout_ms=3000)
        assert judgement.success, judgement
        assert outcome.certificate is not None
        assert outcome.certificate.expires_at == until

    async def test_it_is_looked_at_once_an_hour(self, certificates: targets.Certificates) -> None:
        async with (
            serving(targets.good(), certificates.valid()) as port,
            Engine(settings(certificates.ca_file)) as prober,
        ):
            url = f"https://127.0.0.1:{port}/"
            seen = [(await check(prober, url, timeout_ms=3000))[0].certificate is not None for _ in range(3)]
        assert seen == [True, False, False]

    async def test_a_failed_attempt_does_not_use_up_the_look(self, certificates: targets.Certificates) -> None:
        """What decides is the last attempt, and only its outcome is recorded."""
        async with (
            serving(targets.good(), certificates.valid()) as port,
            Engine(settings(certificates.ca_file)) as prober,
        ):
            url = f"https://127.0.0.1:{port}/"
            outcome, judgement = await check(
                prober, url, timeout_ms=3000, retries=1, keyword="absent", interval_seconds=1
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
        self, prober: Engine, certificates: targets.Certificates, kind: str, message: str
    ) -> None:
        async with serving(targets.good(), getattr(certificates, kind)()) as port:
            _, judgement = await check(prober, f"https://127.0.0.1:{port}/", timeout_ms=3000)
            assert judgement.error_type == "tls_error"
            assert message in (judgement.error_message or "")
            _, judgement = await check(prober, f"https://127.0.0.1:{port}/", timeout_ms=3000, verify_tls=False)
            assert judgement.success, judgement
            _, judgement = await check(prober, f"https://127.0.0.1:{port}/", timeout_ms=3000)
            assert judgement.error_type == "tls_error", "a check that trusted it opens no door for the next"

    async def test_self_signed(self, prober: Engine, certificates: targets.Certificates, tmp_path: Path) -> None:
        async with serving(targets.good(), certificates.self_signed(tmp_path)) as port:
            _, judgement = await check(prober, f"https://127.0.0.1:{port}/", timeout_ms=3000)
        assert (judgement.error_type, judgement.error_message) == ("tls_error", "self-signed certificate")

    async def test_plain_http_at_the_port(self, prober: Engine) -> None:
        async with serving(targets.endless(b"", b"HTTP/1.1 400 Bad\r\n\r\n", 0.02)) as port:
            _, judgement = await check(prober, f"https://127.0.0.1:{port}/", timeout_ms=1000)
        assert judgement.error_type in ("tls_error", "timeout")

    async def test_a_stalled_handshake_names_its_phase(self, prober: Engine) -> None:
        async with serving(targets.hang) as port:
            _, judgement = await check(prober, f"https://127.0.0.1:{port}/")
        assert judgement.error_type == "timeout"
        assert "during the TLS handshake" in (judgement.error_message or "")


class TestOwnTrouble:
    """What the prober itself lacks is never held against a service."""

    async def test_an_unreadable_ca_file(self, certificates: targets.Certificates, tmp_path: Path) -> None:
        async with (
            serving(targets.good(), certificates.valid()) as port,
            Engine(settings(tmp_path / "missing.pem")) as prober,
        ):
            with pytest.raises(ProberTrouble, match="SSL_CERT_FILE"):
                await check(prober, f"https://127.0.0.1:{port}/")

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    async def test_no_file_descriptors(self, prober: Engine, host: str) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        async with serving(targets.good()) as port:
            await check(prober, f"http://{host}:{port}/")
            spare = socket.socket()
            lowest_free = spare.fileno()
            spare.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
            try:
                # glibc has a cause of its own to tell when it is the one that finds none left.
                with pytest.raises(ProberTrouble, match=r"Too many open files|could not be looked up"):
                    await check(prober, f"http://{host}:{port}/")
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            _, judgement = await check(prober, f"http://{host}:{port}/")
            assert judgement.success, "and when they are back, all is well"

    async def test_no_route_of_its_own(self, prober: Engine) -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("2001:db8::1", 9))
            except OSError as error:
                assert error.errno == errno.ENETUNREACH
            else:
                pytest.skip("this host has a route for IPv6")
        with pytest.raises(ProberTrouble, match="no route to 2001:db8::1"):
            await check(prober, "http://[2001:db8::1]/")

    async def test_a_stalled_loop(self, prober: Engine) -> None:
        async with serving(targets.hang) as port, anyio.create_task_group() as tasks:
            tasks.start_soon(_stall_soon, TIMEOUT_MS / 1000 + 0.5)
            with pytest.raises(ProberTrouble, match="the event loop stood still"):
                await check(prober, f"http://127.0.0.1:{port}/")

    async def test_a_cancelled_check_leaves_the_engine_usable(self, prober: Engine) -> None:
        async with serving(targets.hang) as port:
            with anyio.move_on_after(0.1):
                await check(prober, f"http://127.0.0.1:{port}/", timeout_ms=5000)
        _, judgement = await check_behaviour(prober, targets.good())
        assert judgement.success


async def _stall_soon(seconds: float) -> None:
    await anyio.sleep(0.05)
    time.sleep(seconds)  # noqa: ASYNC251 - the stall is what is tested


class TestDeadNames:
    async def test_fifty_of_them_keep_no_healthy_name_waiting(self, prober: Engine) -> None:
        release = threading.Event()

        def name_servers(name: str, *rest: Any, **more: Any) -> list[tuple[Any, ...]]:
            """The system's resolver, where the name servers of one domain swallow every question."""
            if name.endswith(".dead.example"):
                release.wait(120)
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            return socket.getaddrinfo(name, *rest, **more)

        prober.resolver.close()
        prober.resolver = Resolver(look_up=name_servers)
        dead: list[Judgement] = []
        healthy: list[tuple[Outcome, Judgement]] = []

        async def ask(url: str, kept: list[Any]) -> None:
            outcome, judgement = await check(prober, url, timeout_ms=1500 if kept is dead else 15_000)
            kept.append(judgement if kept is dead else (outcome, judgement))

        try:
            async with serving(targets.good()) as port, anyio.create_task_group() as tasks:
                for number in range(50):
                    tasks.start_soon(ask, f"http://host{number}.dead.example:{port}/", dead)
                for _ in range(50):
                    tasks.start_soon(ask, f"http://localhost:{port}/", healthy)
        finally:
            release.set()
        assert all(judgement.success and (outcome.dns_ms or 0) < 1500 for outcome, judgement in healthy)
        assert {judgement.error_message for judgement in dead} == {"timed out after 1500 ms while looking up the name"}
        assert len(dead) == len(healthy) == 50

    async def test_a_name_that_found_no_thread_is_our_trouble(self, prober: Engine) -> None:
        begun, release = threading.Event(), threading.Event()

        def blocked(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
            begun.set()
            release.wait(120)
            return []

        prober.resolver.close()
        prober.resolver = Resolver(threads=1, look_up=blocked)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(check, prober, "http://first.example/")
                assert await anyio.to_thread.run_sync(begun.wait, 120)
                with pytest.raises(ProberTrouble, match="none came free in time"):
                    await check(prober, "http://second.example/")
        finally:
            release.set()
