"""`sla-monitor check URL`, or `check TYPE FIELD=VALUE …`: makes one check and prints it, without a database."""

import argparse
import asyncio
import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from prober.judge import Judgement
from prober.outcome import Certificate, TargetDenied
from prober.probes import Engine, Outcome, ProberTrouble, run_check
from prober.services import Service
from sla_monitor.checks import PROBED, AnyConfig
from sla_monitor.checks.http import Http
from sla_monitor.checks.json_path import json_path_problem
from sla_monitor.settings import Settings
from sla_monitor.settings.values import http_url
from sla_monitor.texts.problems import text_of

_VERDICTS = {"o": "operational", "po": "partial outage (slow)", "mo": "major outage"}
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_LONGEST_TIMEOUT_MS = 60_000
_UPPER = re.compile("[A-Z]")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `check`: the fields of a service that determine the request and the expected response."""
    others = ", ".join(name for name in PROBED if name != "http")
    parser.add_argument("url", metavar="URL", help=f"what to check, http:// or https://; or another type: {others}")
    parser.add_argument("fields", nargs="*", metavar="FIELD=VALUE", help="of another check type, named as in REST")
    parser.add_argument("--method", default="GET", type=str.upper, choices=_METHODS, help="default %(default)s")
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        type=_header,
        metavar="'A: b'",
        help="sent along; may be repeated",
    )
    parser.add_argument("--body", metavar="TEXT", help="sent along")
    parser.add_argument(
        "--expect",
        default=(200,),
        type=_status_codes,
        metavar="CODES",
        help="good status codes, such as 200,204",
    )
    parser.add_argument("--keyword", metavar="TEXT", help="must be in the answer")
    parser.add_argument("--keyword-absent", metavar="TEXT", help="must not be in the answer")
    parser.add_argument("--json-path", type=_json_path, metavar="PATH", help="must exist in the answer: $.a.b[0].c")
    parser.add_argument("--json-value", metavar="TEXT", help="what must be at that path")
    parser.add_argument("--timeout-ms", type=_count(1, _LONGEST_TIMEOUT_MS), metavar="MS", help="for each attempt")
    parser.add_argument("--degraded-after-ms", default=3000, type=_count(1, _LONGEST_TIMEOUT_MS), metavar="MS")
    parser.add_argument("--retries", default=0, type=_count(0, 10), metavar="N", help="attempts after a failed one")
    parser.add_argument("--redirects", default=5, type=_count(0, 20), metavar="N", help="followed at most")
    parser.add_argument("--insecure", action="store_true", help="accept any certificate")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Makes the check and prints it. Returns 0 if it succeeds, 1 if it fails or has no result, 2 for invalid
    arguments."""
    try:
        config = _http(args) if args.url not in PROBED or args.url == "http" else _other(args.url, args.fields)
    except ValueError as error:
        print(f"sla-monitor check: {error}", file=sys.stderr)
        return 2
    service = Service(
        id="check",
        check_config=config,
        timeout_ms=args.timeout_ms or settings.check_timeout_ms,
        degraded_after_ms=args.degraded_after_ms,
        retries=args.retries,
    )
    text, code = asyncio.run(check_once(service, settings))
    print(text)
    return code


def _http(args: argparse.Namespace) -> Http:
    """The configuration of an HTTP check. Raises ValueError; its text does not quote the URL, which may hold a
    password."""
    try:
        url = http_url(args.url)
    except ValueError as error:
        raise ValueError(f"URL is not {error}") from None
    if args.fields:
        raise ValueError("FIELD=VALUE is for check types other than HTTP")
    if args.json_value is not None and args.json_path is None:
        raise ValueError("--json-value needs --json-path")
    if args.method == "HEAD" and (args.keyword is not None or args.json_path is not None):
        raise ValueError("no answer to HEAD has a body: --keyword and --json-path need GET")
    return Http(
        endpoint_url=url,
        method=args.method,
        headers=dict(args.header),
        body=args.body,
        expected_status_codes=args.expect,
        keyword=args.keyword,
        keyword_absent=args.keyword_absent,
        json_path=args.json_path,
        json_value=args.json_value,
        verify_tls=not args.insecure,
        follow_redirects=args.redirects,
    )


def _other(kind: str, fields: Sequence[str]) -> AnyConfig:
    """The configuration of another check type. Raises ValueError for the first invalid field."""
    given = dict(field.partition("=")[::2] for field in fields)
    document = {_UPPER.sub(lambda found: "_" + found[0].lower(), name): value for name, value in given.items()}
    try:
        config: AnyConfig = msgspec.convert({**document, "type": kind}, AnyConfig, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    if wrong := config.problems():
        raise ValueError(f"{wrong[0].field}: {text_of(wrong[0].code, wrong[0].parameters)}")
    return config


async def check_once(service: Service, settings: Settings) -> tuple[str, int]:
    """Makes the check. Returns it as lines of text, and the exit code."""
    async with Engine(settings, certificates_every_s=0) as engine:
        try:
            outcome, judgement, attempts = await run_check(service, engine)
        except TargetDenied as denied:
            return f"nothing is known: {denied}", 1
        except ProberTrouble as trouble:
            return f"nothing is known: the prober itself could not look: {trouble}", 1
    return "\n".join(_lines(outcome, judgement, attempts)), 0 if judgement.success else 1


def _lines(outcome: Outcome, judgement: Judgement, attempts: int) -> list[str]:
    phases = [
        ("DNS", outcome.dns_ms),
        ("connect", outcome.connect_ms),
        ("TLS", outcome.tls_ms),
        ("first byte", outcome.first_byte_ms),
        ("total", outcome.total_ms),
    ]
    facts = [("result", f"{_VERDICTS[judgement.severity]} ({judgement.severity})")]
    if judgement.error_type is not None:
        facts.append(("error", f"{judgement.error_type}: {judgement.error_message}"))
    if outcome.status_code is not None:
        facts.append(("status", f"HTTP {outcome.status_code}"))
    facts += [(name, f"{ms:10.1f} ms" if ms is not None else f"{'-':>10}") for name, ms in phases]
    if outcome.address is not None:
        facts.append(("address", outcome.address))
    if outcome.certificate is not None:
        facts.append(("certificate", _validity(outcome.certificate)))
    if outcome.redirects:
        facts.append(("redirects", str(outcome.redirects)))
    if outcome.truncated:
        facts.append(("note", "the answer was longer than PROBE_MAX_BYTES; the rest was not read"))
    if attempts > 1:
        facts.append(("attempts", str(attempts)))
    return [f"{name:<12}{value}" for name, value in facts]


def _validity(certificate: Certificate) -> str:
    expires, issuer = certificate
    days = (expires - datetime.now(UTC)).days
    by = f", issued by {issuer}" if issuer else ""
    if days < 0:
        return f"expired {expires:%Y-%m-%d}{by}"
    return f"valid until {expires:%Y-%m-%d %H:%M} UTC ({days} days){by}"


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError("not a header such as 'Accept: text/plain'")
    return name.strip(), value.strip()


def _status_codes(text: str) -> tuple[int, ...]:
    codes = tuple(int(part) if part.strip().isdecimal() else 0 for part in text.split(","))
    if not all(100 <= code <= 999 for code in codes):
        raise argparse.ArgumentTypeError("not status codes such as 200,204")
    return codes


def _json_path(text: str) -> str:
    if (wrong := json_path_problem(text)) is not None:
        raise argparse.ArgumentTypeError(text_of(wrong.code, wrong.parameters))
    return text


def _count(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"not a whole number from {low} to {high}")
        return int(text)

    return parse
