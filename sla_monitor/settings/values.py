"""Parsers of settings: each converts the text of an environment variable to a value.

Each raises ValueError for an invalid text. The message completes the sentence "X is not …".
"""

import ipaddress
import itertools
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from cronsim import CronSim, CronSimError

from sla_monitor.formats.host_names import HostNameError, host_in, host_name
from sla_monitor.formats.networks import Network
from sla_monitor.formats.one_line import is_label
from sla_monitor.formats.origins import origin_of
from sla_monitor.formats.time_zones import zone

SLUG = "[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?"
"""Pattern of a whole service id or location. The database has the same rule."""

MAX_IMAGE_BYTES = 256 * 1024

_SCHEME = re.compile("^https?:", re.IGNORECASE)
_DURATION = re.compile(r"(\d+)\s*(ms|s|m|h|d)?")
_UNIT_SECONDS = {"ms": 0.001, None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> timedelta:
    """A duration such as `90`, `90s`, `15m`, `24h` or `400d`. A number without a unit is in seconds."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("a duration such as 30s, 15m, 24h or 400d")
    try:
        return timedelta(seconds=int(match[1]) * _UNIT_SECONDS[match[2]])
    except OverflowError:
        raise ValueError("a duration of at most 999999999d") from None


def retention(text: str) -> timedelta:
    """A duration of at least 8 days: aggregates are refreshed over the last 7 days, which needs the raw rows."""
    kept = duration(text)
    if kept < timedelta(days=8):
        raise ValueError("at least 8d: aggregates are refreshed over the last 7 days")
    return kept


def audit_retention(text: str) -> timedelta:
    """A duration of at least 30 days: the database refuses to delete younger lines."""
    kept = duration(text)
    if kept < timedelta(days=30):
        raise ValueError("at least 30d")
    return kept


def interval(text: str) -> timedelta:
    """The time between checks: a duration, or a cron line whose times have equal distances, such as `*/5 * * * *` or
    `*/30 * * * * *`."""
    if len(text.split()) < 5:
        try:
            every = duration(text)
        except ValueError:
            raise ValueError("a duration such as 60s, or a cron line such as */5 * * * *") from None
    else:
        try:
            fires = CronSim(text, datetime(2026, 1, 1, tzinfo=UTC))
            times = [next(fires) for _ in range(100)]
        except (CronSimError, StopIteration):
            raise ValueError("a cron line or a duration such as 60s") from None
        gaps = {later - earlier for earlier, later in itertools.pairwise(times)}
        if len(gaps) != 1:
            raise ValueError("a cron line with equal distances between its times, such as */5 * * * *")
        every = gaps.pop()
    if not timedelta(seconds=1) <= every <= timedelta(days=1):
        raise ValueError("between 1 second and 1 day")
    return every


def integer(low: int, high: int) -> Callable[[str], int]:
    """A parser of whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return number

    return parse


def one_of(*words: str) -> Callable[[str], str]:
    """A parser of one of these words, in lower or upper case."""

    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError("one of " + ", ".join(words))
        return text.lower()

    return parse


_LEVELS = {"warn": "warning", "fatal": "error", "critical": "error", "verbose": "debug", "trace": "debug"}
"""Level names of other programs, and our levels for them."""


def log_level(text: str) -> str:
    """A log level. `warn` and other common names are accepted for the nearest one."""
    return one_of("debug", "info", "warning", "error")(_LEVELS.get(text.lower(), text))


def time_zone(text: str) -> str:
    if zone(text) is None:
        raise ValueError("an IANA time zone such as Asia/Seoul")
    return text


def postgresql_url(text: str) -> str:
    """A URL that libpq accepts. Its error messages are not used because they can quote the password."""
    from psycopg import ProgrammingError  # here, because most commands need no database
    from psycopg.conninfo import conninfo_to_dict

    try:
        usable = text.startswith(("postgresql://", "postgres://")) and bool(conninfo_to_dict(text))
    except ProgrammingError:
        usable = False
    if not usable:
        raise ValueError("a URL such as postgresql://user:password@host:5432/database")
    return text


def http_url(text: str) -> str:
    """An absolute http(s) URL with a host and a valid port, in the form of `tidy_url`."""
    url = tidy_url(text)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        host_in(parts.netloc)
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or " " in url or len(url) > 2048:
        raise ValueError("an absolute http:// or https:// URL")
    return url


def tidy_url(text: str) -> str:
    """The URL without surrounding spaces and with its scheme in lower case, as browsers read it."""
    return _SCHEME.sub(lambda scheme: scheme[0].lower(), text.strip())


def origin(text: str) -> str:
    """An origin such as `https://status.example.com`, whose pages begin at the root path."""
    parts = urlsplit(http_url(text))
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("an origin such as https://status.example.com, without a path")
    return str(origin_of(text))


def origin_list(text: str) -> tuple[str, ...]:
    """The origins of a list of URLs, in the form that browsers send: `http://localhost` for
    `http://localhost:80/app`."""
    return tuple(dict.fromkeys(str(origin_of(http_url(part.strip()))) for part in text.split(",") if part.strip()))


def host_names(text: str) -> tuple[str, ...]:
    """A list of host names, in normal form."""
    names = [_ascii_name(part.strip()) for part in text.split(",") if part.strip()]
    if not all(re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", name) for name in names):
        raise ValueError("host names without ports, separated by commas, such as status.example.com")
    return tuple(names)


def _ascii_name(name: str) -> str:
    """The name as browsers send it in the header `Host`; empty if it is invalid."""
    try:
        return host_name(name).removesuffix(".")
    except HostNameError:
        return ""


def networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("networks in CIDR notation, separated by commas, such as 169.254.0.0/16,fe80::/10") from None


def slug(text: str) -> str:
    if not re.fullmatch(SLUG, text):
        raise ValueError("at most 50 lowercase letters, digits and hyphens, with a letter or digit at both ends")
    return text


class Limit(NamedTuple):
    """A rate limit: `times` requests of one client within `window`."""

    times: int
    window: timedelta


def limit(text: str) -> Limit | None:
    """A rate limit such as `100/15m` or `10/m`; None for `off`."""
    if text.strip().lower() == "off":
        return None
    times, _, window = text.partition("/")
    try:
        found = Limit(int(times), duration(window if window.strip()[:1].isdigit() else "1" + window.strip()))
    except ValueError:
        found = Limit(0, timedelta())
    if (
        not window.strip()
        or not 1 <= found.times <= 1_000_000_000
        or not timedelta(seconds=1) <= found.window <= timedelta(days=1)
    ):
        raise ValueError("a limit such as 100/15m (a window of at most one day), or off")
    return found


_EXAMPLES = re.compile("(?<![a-z])(your[-_ ]?super[-_ ]?secret|(change|replace)[-_ ]?(this|me))", re.IGNORECASE)
"""Placeholders of documentation, which users copy without changing them."""


def secret(text: str) -> str:
    """A key of at least 32 bytes that is not a placeholder. It is never shown."""
    if len(text.encode()) < 32:
        raise ValueError("long enough: 32 bytes or more; without it one is generated and stored in the database")
    if _EXAMPLES.search(text):
        raise ValueError("a secret, but a public example; without it one is generated and stored in the database")
    return text


def password(text: str) -> str:
    """The password of a database user: at least 16 bytes, on one line. It is never shown."""
    if len(text.encode()) < 16 or not text.isprintable():
        raise ValueError("a password of 16 bytes or more, on one line")
    return text


def title(text: str) -> str:
    if not is_label(text) or len(text) > 100:
        raise ValueError("one line of at most 100 characters")
    return text


def color(text: str) -> str:
    if not re.fullmatch(r"#[0-9A-Fa-f]{6}", text):
        raise ValueError("a colour such as #0b6e4f")
    return text.lower()


def image(text: str) -> Path:
    """The path of an image of at most 256 KiB. Its type is taken from the suffix."""
    file = path(text)
    if file.suffix.lower() not in (".svg", ".png"):
        raise ValueError("the path of an .svg or a .png")
    try:
        usable = file.is_file() and file.stat().st_size <= MAX_IMAGE_BYTES
    except OSError:
        usable = False
    if not usable:
        raise ValueError("an existing file of at most 256 KiB")
    return file


def lifetime(text: str) -> timedelta:
    """A duration from a minute to a year."""
    life = duration(text)
    if not timedelta(minutes=1) <= life <= timedelta(days=365):
        raise ValueError("between 1m and 365d")
    return life


def path(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:  # `~name` without a user of that name
        raise ValueError("a path: there is no such user") from None
