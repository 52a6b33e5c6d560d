"""The settings of this process: variable, value, default and meaning.

Settings are environment variables. They cannot be changed over REST.
"""

import re
from datetime import timedelta
from typing import Any

import msgspec
from litestar import Router, get

from api.auth.permissions import requires
from api.cache.entries import Cacheable
from api.rest.injected import Injected
from sla_monitor.settings import ENVIRONMENT, NEW_INSTALLATION, SECRET, Settings, Terms
from sla_monitor.settings.values import Limit
from sql import Pool, database

CACHEABLE: tuple[Cacheable, ...] = ()
MASK = "***"
_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000}
_CREDENTIALS = re.compile(r"(?<=//)[^/@]*@")


class Setting(msgspec.Struct):
    """`value` and `default` as in the environment; null if not set. The value of a secret is `***`."""

    variable: str
    value: str | None
    default: str | None
    meaning: str


class SettingList(msgspec.Struct):
    settings: list[Setting]


def written(value: Any) -> str | None:
    """The value of a setting as in its environment variable; None for no value."""
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


def described(settings: Settings, stored: Terms) -> list[Setting]:
    """All settings with their values and defaults. `stored`: the settings in the database, which take precedence over
    the environment."""
    current = msgspec.structs.asdict(settings) | stored._asdict()
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
    """The value of the setting `field` as in its environment variable: as `written`, and `off` for a rate limit that is
    switched off."""
    return "off" if value is None and field.startswith("rate_limit_") else written(value)


@get(
    "/settings",
    summary="List settings",
    **requires("settings:read"),
)
async def list_settings(pool: Injected[Pool], settings: Injected[Settings]) -> SettingList:
    """Settings are environment variables of the program and cannot be changed over REST. Secrets are `***`."""
    return SettingList(await current_settings(pool, settings))


async def current_settings(pool: Pool, settings: Settings) -> list[Setting]:
    """All settings, with the values of the database for the settings that it stores."""
    stored = await database.row(pool, "migrate/kept_terms", Terms)
    return described(settings, stored or NEW_INSTALLATION)


router = Router("/api", route_handlers=[list_settings], tags=["administration"])
