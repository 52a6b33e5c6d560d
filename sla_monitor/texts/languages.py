"""What people read, in their language: texts of one catalogue each, dates and numbers as their locale writes them.

A catalogue is `<language>.toml`. A text may have `{placeholders}`; one that depends on `count` is a table of
the plural forms that its language knows (CLDR): `one` and `other` in English, `other` in Korean. The table [meanings]
translates what the settings say of themselves.
"""

import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_skeleton, format_time
from babel.numbers import format_decimal, format_percent
from markupsafe import Markup, escape

Language = Literal["en", "ko"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
DEFAULT: Language = "en"
MEANINGS = "meanings"


class Texts:
    """The texts of one language; days and clocks are those of `zone`."""

    def __init__(self, language: Language, zone: str = "UTC") -> None:
        self.language = language
        self.zone = zone
        self._texts = catalogue(language)
        self._locale = Locale.parse(language)
        self._zone = ZoneInfo(zone)

    def __call__(self, key: str, **values: Any) -> str:
        """The text of `key`, such as `status.title`, in HTML where a value is. Raises KeyError for one that is in no
        catalogue, a defect."""
        text = self._texts[key]
        if isinstance(text, Mapping):
            text = text[self._locale.plural_form(values["count"])]
        if not values:
            return text
        numbers = {name: self.number(value) for name, value in values.items() if isinstance(value, int | float)}
        if any(isinstance(value, Markup) for value in values.values()):
            text = escape(text)
        return text.format_map(values | numbers)

    def meaning(self, english: str) -> str:
        """What a setting is for. Settings say it themselves, in English."""
        return meanings(self.language).get(english, english)

    def section(self, name: str) -> dict[str, str | Mapping[str, str]]:
        """All texts of one table, for scripts."""
        start = name + "."
        return {key.removeprefix(start): text for key, text in self._texts.items() if key.startswith(start)}

    def number(self, value: float, digits: int = 0) -> str:
        """`12,345.6`; rounded to `digits` after the point, all of them shown."""
        return format_decimal(value, format="#,##0" + ("." + "0" * digits if digits else ""), locale=self._locale)

    def percent(self, text: str) -> str:
        """An uptime as the API writes it, "99.98" or "-": two decimals, and never rounded up."""
        return "–" if text == "-" else format_percent(float(text) / 100, format="#,##0.00%", locale=self._locale)

    def day(self, day: date) -> str:
        """`Tue, Nov 24, 2026`, `2026년 11월 24일 (화)`."""
        return str(format_skeleton("yMMMEd", day, locale=self._locale))

    def short_day(self, day: date) -> str:
        """`Nov 24`, `11월 24일`."""
        return str(format_skeleton("MMMd", day, locale=self._locale))

    def full_day(self, day: date) -> str:
        """`Nov 24, 2026`, `2026. 11. 24.`: with its year."""
        return format_date(day, "medium", locale=self._locale)

    def month(self, day: date) -> str:
        """`November 2026`, `2026년 11월`."""
        return str(format_skeleton("yMMMM", day, locale=self._locale))

    def weekdays(self) -> list[str]:
        """Short names, Sunday first: weeks begin with it in both languages, as in the API's calendar."""
        names = self._locale.days["stand-alone"]["abbreviated"]
        return [names[number % 7] for number in range(6, 13)]

    def moment(self, moment: datetime, seconds: bool = False) -> str:
        """Day and clock: `Nov 24, 2026, 14:02`, `2026. 11. 24. 14:02`; with `seconds` `14:02:10`."""
        pattern = str(self._locale.datetime_formats["medium"])
        day = format_date(self.local(moment), "medium", locale=self._locale)
        return pattern.replace("{1}", day).replace("{0}", self.clock(moment, seconds))

    def clock(self, moment: datetime, seconds: bool = False) -> str:
        """`14:02`, everywhere: those who run services compare it with their logs."""
        return format_time(self.local(moment).time(), "HH:mm:ss" if seconds else "HH:mm", locale=self._locale)

    def local(self, moment: datetime) -> datetime:
        return moment.astimezone(self._zone)

    def duration(self, seconds: float) -> str:
        """The two largest units, rounded down: `2 h 5 min`, `3일 4시간`, `12 s`; nothing is `0 s`."""
        left = max(int(seconds), 0)
        parts: list[str] = []
        for unit, size in _UNITS:
            amount, left = divmod(left, size)
            if amount:
                parts.append(self("duration." + unit, n=amount))
            if len(parts) == 2 or (parts and not amount):
                break
        return " ".join(parts) or self("duration.s", n=0)

    def milliseconds(self, value: float | None) -> str:
        """`142 ms`, `1.24 s`; what is not known is a dash."""
        if value is None:
            return "–"
        if value >= 1000:
            return self("duration.seconds", n=self.number(value / 1000, 2))
        return self("duration.ms", n=self.number(value, 1 if 0 < value < 10 else 0))


_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


@lru_cache(maxsize=64)
def texts(language: Language, zone: str) -> Texts:
    return Texts(language, zone)


@cache
def catalogue(language: Language) -> Mapping[str, str | Mapping[str, str]]:
    """All texts of a language by their key, `table.name`."""
    return dict(_flat({name: table for name, table in _file(language).items() if name != MEANINGS}))


@cache
def meanings(language: Language) -> Mapping[str, str]:
    """What settings are for, by their English description in sla_monitor/settings; English itself has none."""
    found: Mapping[str, str] = _file(language).get(MEANINGS, {})
    return found


@cache
def _file(language: Language) -> dict[str, Any]:
    return tomllib.loads(files("sla_monitor.texts").joinpath(f"{language}.toml").read_text("utf-8"))


def _flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in table.items():
        if isinstance(value, dict) and "other" not in value:
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, value))
    return found
