"""`sla-monitor check`: arguments, output and exit codes."""

import argparse
import gzip
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from prober import check
from sla_monitor.settings import Settings
from tests.prober import targets
from tests.prober.tls_targets import tls_serving


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = gzip.compress("FATAL: 오류".encode("cp949")) if self.path == "/coded" else b'{"state": ["up"]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/coded":
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Type", "text/plain; charset=euc-kr")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join(5)


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser(prog="sla-monitor check")
    check.add_arguments(parser)
    return check.run(parser.parse_args(arguments), Settings())


def test_a_good_check_shows_its_phases(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(url, "--json-path", "$.state[0]", "--json-value", "up", "--header", "A: b") == 0
    shown = {line[:12].strip(): line[12:] for line in capsys.readouterr().out.splitlines()}
    assert shown["result"] == "operational (o)"
    assert shown["status"] == "HTTP 200"
    assert shown["address"] == "127.0.0.1"
    assert shown["TLS"].strip() == "-"
    assert all(shown[name].endswith(" ms") for name in ("connect", "first byte", "total"))


def test_a_failed_check_says_why(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(url, "--expect", "204,301") == 1
    assert "http_error: HTTP 200, expected 204 or 301" in capsys.readouterr().out
    assert run(f"http://127.0.0.1:{targets.closed_port()}/", "--timeout-ms", "900") == 1
    assert "connection_error: connection refused" in capsys.readouterr().out


def test_a_coded_body_is_read_as_the_prober_reads_it(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"{url}coded", "--keyword", "오류") == 0
    assert run(f"{url}coded", "--keyword-absent", "FATAL") == 1
    assert 'assertion_failed: the response contains "FATAL"' in capsys.readouterr().out


@pytest.mark.parametrize("bad", ["example.com", "ftp://example.com/", "http://", "http://a:b@[::", "http://h:99999/"])
def test_a_bad_url_is_one_line(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(bad) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1 and "URL" in shown.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--expect", "abc"),
        ("--expect", "99"),
        ("--expect", "1000"),
        ("--json-path", "state"),
        ("--header", "no colon"),
        ("--timeout-ms", "0"),
    ],
)
def test_bad_arguments_exit_with_2(arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        run("http://127.0.0.1/", *arguments)
    assert exit_.value.code == 2
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.parametrize("argument", ["--keyword", "--json-path"])
def test_a_response_to_head_has_no_body(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("http://127.0.0.1/", "--method", "HEAD", argument, "$") == 2
    assert argument in capsys.readouterr().err


def test_a_url_is_taken_as_browsers_take_it(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f" {url.replace('http', 'HTTP')}\t", "--expect", "200,999") == 0


def test_a_denied_target_has_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("http://169.254.169.254/") == 1
    expected = "no result: probes may not connect to 169.254.169.254 (PROBE_DENY_NETWORKS)\n"
    assert capsys.readouterr().out == expected


def test_a_json_value_needs_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("http://127.0.0.1/", "--json-value", "up") == 2
    assert "--json-path" in capsys.readouterr().err


def test_a_check_of_another_type(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert run("tcp", "host=127.0.0.1", f"port={listening.getsockname()[1]}") == 0
    assert "operational (o)" in capsys.readouterr().out
    assert run("tcp", "host=127.0.0.1", f"port={targets.closed_port()}", "verifyTls=false") == 1
    assert "connection_error: connection refused" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        (["port=1"], "host"),
        (["host=a b", "port=1"], "host"),
        (["host=a", "port=many"], "port"),
        (["host=a", "port=0"], "port"),
        (["host=a", "port=1", "nonsense=1"], "nonsense"),
        (["host=a", "port=1", "send=\\q"], "send"),
        (["host=a", "port=1", "verifyTls=perhaps"], "verify_tls"),
    ],
)
def test_a_bad_field_of_another_type_is_named(
    fields: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("tcp", *fields) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1 and named in shown.err


def test_fields_are_for_other_types(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("http://127.0.0.1/", "port=1") == 2
    assert "FIELD=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--method", "GET"),
        ("--header", "A: b"),
        ("--body", "x"),
        ("--expect", "200"),
        ("--keyword", "x"),
        ("--keyword-absent", "x"),
        ("--json-path", "$.a"),
        ("--json-value", "x"),
        ("--redirects", "0"),
    ],
)
def test_an_option_that_a_type_does_not_have_is_refused(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("tcp", "host=127.0.0.1", "port=1", option, value) == 2
    assert capsys.readouterr().err == f"sla-monitor check: {option} is not an option of check type tcp\n"


def test_an_option_that_another_type_has_too_takes_effect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    context = targets.Certificates(tmp_path).untrusted()
    with tls_serving(context, lambda connection: connection.do_handshake()) as port:
        fields = ["host=127.0.0.1", f"port={port}", "tls=true"]
        assert run("tcp", *fields) == 1
        assert "tls_error" in capsys.readouterr().out
        assert run("tcp", *fields, "--insecure") == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["host=127.0.0.1", "port=1", "port=2"], "port"),
        (["host=a", "port=1", "verifyTls=true", "--insecure"], "verifyTls"),
    ],
)
def test_a_field_that_is_given_twice_is_refused(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("tcp", *arguments) == 2
    assert capsys.readouterr().err == f"sla-monitor check: {named} is given twice\n"
