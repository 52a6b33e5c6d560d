"""Every setting of this process, for admins to read: its variable, what it is, what it would be, what it is for.

They are set where the program is started, never over REST.
"""

import re
from datetime import timedelta
from typing import Any

import msgspec
from litestar import Router, get

from api.auth.permissions import requires
from api.cache.entries import Cacheable
from api.rest.errors import responses
from api.rest.injected import Injected
from sla_monitor.settings import ENVIRONMENT, NEW_INSTALLATION, SECRET, Settings, Terms
from sla_monitor.settings.values import Limit
from sql import Pool, database

CACHEABLE: tuple[Cacheable, ...] = ()
MASK = "***"
_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000}
_CREDENTIALS = re.compile(r"(?<=//)[^/@]*@")


class Setting(msgspec.Struct):
    """As one would write it in the environment; null is not set. Of a secret, only whether it is set."""

    variable: str
    value: str | None
    default: str | None
    meaning: str


class SettingList(msgspec.Struct):
    settings: list[Setting]


def written(value: Any) -> str | None:
    """A setting's value as its variable would hold it; None where it would hold nothing."""
    match value:
        case None | ():
            return None
        case Limit(times, window):
            return f"{times}/{written(window)}"
        case timedelta():
            milliseconds = value // timedelta(milliseconds=1)
            unit, size = next(((unit, size) for unit, size in _UNITS.items() if milliseconds % size == 0), ("ms", 1))
            return f"{milliseconds // size}{unit}"
        case tuple():
            return ",".join(str(part) for part in value)
    return _CREDENTIALS.sub(f"{MASK}@", str(value))


def described(settings: Settings, kept: Terms) -> list[Setting]:
    """All settings; what belongs to the database is what that has `kept`, whatever this process was started with."""
    current = msgspec.structs.asdict(settings) | kept._asdict()
    defaults = msgspec.structs.asdict(Settings()) | NEW_INSTALLATION._asdict()
    return [
        Setting(
            variable.name,
            MASK if field in SECRET and current[field] is not None else shown(field, current[field]),
            shown(field, defaults[field]),
            variable.meaning,
        )
        for field, variable in ENVIRONMENT.items()
    ]


def shown(field: str, value: Any) -> str | None:
    """`off` for a limit that is none."""
    return "off" if value is None and field.startswith("rate_limit_") else written(value)


@get(
    "/settings",
    summary="Every setting of this process",
    tags=["administration"],
    responses=responses(401, 403, 429, 503),
    **requires("settings:read"),
)
async def list_settings(pool: Injected[Pool], settings: Injected[Settings]) -> SettingList:
    """Read-only: settings are given to the program when it starts."""
    return SettingList(await current_settings(pool, settings))


async def current_settings(pool: Pool, settings: Settings) -> list[Setting]:
    """All settings, with what belongs to the database as it has it."""
    kept = await database.row(pool, "migrate/kept_terms", Terms)
    return described(settings, kept or NEW_INSTALLATION)


router = Router("/api", route_handlers=[list_settings])
