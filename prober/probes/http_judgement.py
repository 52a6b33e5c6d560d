"""The verdict on an HTTP response: status, body, time. Pure functions."""

import msgspec

from prober import judge as verdict
from prober.judge import Judgement
from prober.outcome import Outcome
from prober.services import Service
from prober.text import Text, json_bytes
from sla_monitor.checks.http import Http
from sla_monitor.checks.json_path import parse_json_path

_SHOWN = 80

MAX_JSON_BYTES = 512 * 1024
"""Parsing JSON blocks the event loop: two megabytes take about 60 ms."""
MAX_JSON_WORK = 6 * MAX_JSON_BYTES
"""The most bytes that one check parses. Each step of a path parses the value that the step before it has found."""


class PathMissing(Exception):  # noqa: N818 - a response of the target, not an error of this program
    """The document has no value at the path. The message names the step that fails."""


def judge(service: Service, config: Http, outcome: Outcome) -> Judgement:
    """Judges in this order: error, status, body, time. Never raises."""
    if (error := verdict.error(outcome)) is not None:
        return error
    if outcome.status_code not in config.expected_status_codes:
        return verdict.failed("http_error", f"HTTP {outcome.status_code}, expected {_listed(config)}")
    if outcome.undecodable is not None:
        return verdict.failed("assertion_failed", outcome.undecodable)
    if config.reads_body:
        message = _failed_assertion(config, outcome)
        if message is not None:
            if outcome.truncated:
                message += f" (only the first {len(outcome.body)} bytes of the response were read)"
            return verdict.failed("assertion_failed", message)
    return verdict.good(outcome, service.degraded_after_ms)


def is_decided(config: Http, beginning: bytes, content_type: str) -> bool:
    """Whether the rest of a body cannot change the verdict of the assertions on it.

    A keyword that was found decides if it is the only assertion. A keyword that must be absent and was found always
    decides, once the assertions before it are met. JSON must be complete.
    """
    if config.keyword is None and config.keyword_absent is None:
        return False
    text = Text(beginning, content_type)
    if config.keyword is not None and config.keyword not in text:
        return False
    if config.keyword_absent is not None:
        return config.keyword_absent in text
    return config.json_path is None


def _listed(config: Http) -> str:
    return " or ".join(str(code) for code in config.expected_status_codes)


def _failed_assertion(config: Http, outcome: Outcome) -> str | None:
    """The message for the first assertion that fails, or None. Keywords are compared as text, in the charset of the
    body."""
    if config.keyword is not None or config.keyword_absent is not None:
        text = Text(outcome.body, outcome.content_type)
        if config.keyword is not None and config.keyword not in text:
            return f"the response does not contain {_quoted(config.keyword)}"
        if config.keyword_absent is not None and config.keyword_absent in text:
            return f"the response contains {_quoted(config.keyword_absent)}"
    if config.json_path is None:
        return None
    try:
        found = json_at(outcome.body, parse_json_path(config.json_path))
    except PathMissing as missing:
        return f"the response has no value at {config.json_path}: {missing}"
    except ValueError as error:
        return str(error)
    if config.json_value is not None and found != config.json_value:
        return f"{config.json_path} is {_quoted(found)}, expected {_quoted(config.json_value)}"
    return None


def _quoted(text: str) -> str:
    return f'"{text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"}"'


def json_at(document: bytes, path: tuple[str | int, ...]) -> str:
    """The value at the path: the characters of a string, or the JSON text of any other value.

    Only the values on the path are parsed, so a number keeps all its digits (`1.0`). Raises PathMissing, or ValueError
    if the document is not JSON (in UTF-8, UTF-16 or UTF-32), is too large, or if the path has too many steps for its
    size.
    """
    if len(document) > MAX_JSON_BYTES:
        raise ValueError(f"the response is larger than the limit of {MAX_JSON_BYTES >> 10} KiB for JSON")
    left = MAX_JSON_WORK
    try:
        here = msgspec.json.decode(json_bytes(document), type=msgspec.Raw)
        for step in path:
            level = bytes(here)
            left -= len(level)
            if left < 0:
                raise ValueError("the JSON path has too many steps for a response of this size")
            here = _child(level, step)
        text = bytes(here).strip()
        return msgspec.json.decode(text, type=str) if text.startswith(b'"') else text.decode()
    except RecursionError:
        raise ValueError("the JSON of the response is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError("the response is not valid JSON") from None


def _child(document: bytes, step: str | int) -> msgspec.Raw:
    document = document.strip()
    if isinstance(step, int):
        if not document.startswith(b"["):
            raise PathMissing(f"[{step}] needs a list")
        items = msgspec.json.decode(document, type=list[msgspec.Raw])
        if step >= len(items):
            raise PathMissing(f"[{step}] is after the end of the list (length {len(items)})")
        return items[step]
    if not document.startswith(b"{"):
        raise PathMissing(f"{_quoted(step)} needs an object")
    members = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
    if step not in members:
        raise PathMissing(f"there is no {_quoted(step)}")
    return members[step]
