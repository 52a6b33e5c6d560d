"""`sla-monitor check URL` and `sla-monitor check TYPE FIELD=VALUE …`: one check without a database, and its result."""

import argparse
import asyncio
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec

from prober.judge import Judgement
from prober.outcome import Certificate, TargetDenied
from prober.probes import Engine, Outcome, ProberTrouble, run_check
from prober.services import Service
from sla_monitor.checks import PROBED, AnyConfig
from sla_monitor.checks.http import Http, Method
from sla_monitor.checks.json_path import json_path_problem
from sla_monitor.settings import Settings
from sla_monitor.settings.values import http_url
from sla_monitor.texts.problems import text_of

_VERDICTS = {"o": "operational", "po": "partial outage (slow)", "mo": "major outage"}
_LONGEST_TIMEOUT_MS = 60_000
_UPPER = re.compile("[A-Z]")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `check`. An option that sets a field of the check type has the name of the field as its
    `dest` and None as its default."""
    others = ", ".join(name for name in PROBED if name != "http")
    parser.add_argument("url", metavar="URL", help=f"what to check, http:// or https://; or another type: {others}")
    parser.add_argument(
        "fields", nargs="*", metavar="FIELD=VALUE", help="a field of another check type, named as in REST"
    )
    parser.add_argument("--timeout-ms", type=_count(1, _LONGEST_TIMEOUT_MS), metavar="MS", help="for each attempt")
    parser.add_argument(
        "--degraded-after-ms",
        default=3000,
        type=_count(1, _LONGEST_TIMEOUT_MS),
        metavar="MS",
        help="a slower response is a partial outage; default %(default)s",
    )
    parser.add_argument(
        "--retries", default=0, type=_count(0, 10), metavar="N", help="further attempts after a failed one"
    )
    of_type = parser.add_argument_group("options of the check type")
    for option, field, keywords in _FIELD_OPTIONS:
        of_type.add_argument(option, dest=field, **keywords)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Makes the check and prints it. Returns 0 if it succeeds, 1 if it fails or has no result, 2 for invalid
    arguments."""
    try:
        config = _config(args)
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


def _config(args: argparse.Namespace) -> AnyConfig:
    """The configuration of the check. Raises ValueError, with a text that names the argument."""
    kind = args.url if args.url in PROBED else "http"
    options = {field: option for option, field, _ in _FIELD_OPTIONS if getattr(args, field) is not None}
    for field, option in options.items():
        if field not in PROBED[kind].__struct_fields__:
            raise ValueError(f"{option} is not an option of check type {kind}")
    given = {field: getattr(args, field) for field in options}
    if kind == "http":
        return _http(args.url, args.fields, given)
    for name, value in (text.partition("=")[::2] for text in args.fields):
        field = _UPPER.sub(lambda found: "_" + found[0].lower(), name)
        if field in given:
            raise ValueError(f"{name} is given twice")
        given[field] = value
    return _other(kind, given)


def _http(text: str, fields: Sequence[str], given: Mapping[str, Any]) -> Http:
    """The configuration of an HTTP check. Raises ValueError. The message does not quote the URL, which may contain a
    password."""
    try:
        url = http_url(text)
    except ValueError as error:
        raise ValueError(f"URL is not {error}") from None
    if fields:
        raise ValueError("FIELD=VALUE is for check types other than HTTP")
    config = Http(endpoint_url=url, **given)
    if config.json_value is not None and config.json_path is None:
        raise ValueError("--json-value needs --json-path")
    if config.method == "HEAD" and (config.keyword is not None or config.json_path is not None):
        raise ValueError("the response to HEAD has no body: --keyword and --json-path need GET")
    return config


def _other(kind: str, given: Mapping[str, Any]) -> AnyConfig:
    """The configuration of another check type. Raises ValueError for the first invalid field."""
    try:
        config: AnyConfig = msgspec.convert({**given, "type": kind}, AnyConfig, strict=False)
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
            return f"no result: {denied}", 1
        except ProberTrouble as trouble:
            return f"no result: the prober itself failed: {trouble}", 1
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
        facts.append(("note", "the response was longer than PROBE_MAX_BYTES; the rest was not read"))
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


class _Headers(argparse.Action):
    """Collects the values of a repeated option into a dictionary."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        name, value = values
        setattr(namespace, self.dest, {**(getattr(namespace, self.dest) or {}), name: value})


_FIELD_OPTIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("--method", "method", {"type": str.upper, "choices": get_args(Method), "help": "default GET"}),
    ("--header", "headers", {"action": _Headers, "type": _header, "metavar": "'A: b'", "help": "to send; repeatable"}),
    ("--body", "body", {"metavar": "TEXT", "help": "to send"}),
    (
        "--expect",
        "expected_status_codes",
        {"type": _status_codes, "metavar": "CODES", "help": "expected status codes, such as 200,204; default 200"},
    ),
    ("--keyword", "keyword", {"metavar": "TEXT", "help": "must be in the response"}),
    ("--keyword-absent", "keyword_absent", {"metavar": "TEXT", "help": "must not be in the response"}),
    ("--json-path", "json_path", {"type": _json_path, "metavar": "PATH", "help": "must exist in the response: $.a[0]"}),
    ("--json-value", "json_value", {"metavar": "TEXT", "help": "the value at that path"}),
    ("--redirects", "follow_redirects", {"type": _count(0, 20), "metavar": "N", "help": "followed at most; default 5"}),
    ("--insecure", "verify_tls", {"action": "store_const", "const": False, "help": "accept any TLS certificate"}),
)
"""The options that set a field of a check type: option, field, arguments of `add_argument`."""
