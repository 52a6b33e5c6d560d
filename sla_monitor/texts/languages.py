"""Texts, dates and numbers in the languages of the pages.

Each language has a catalogue, `<language>.toml`. A text may have `{placeholders}`. A text that depends on `count` is a
table of the plural forms of the language (CLDR): `one` and `other` in English, `other` in Korean. The table [meanings]
translates the descriptions of settings.
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
    """The texts of one language. Dates and times are in the time zone `zone`."""

    def __init__(self, language: Language, zone: str = "UTC") -> None:
        self.language = language
        self.zone = zone
        self._texts = catalogue(language)
        self._locale = Locale.parse(language)
        self._zone = ZoneInfo(zone)

    def __call__(self, key: str, **values: Any) -> str:
        """The text of `key`, such as `status.title`, with its placeholders filled in. It is HTML if one of the values
        is. Raises KeyError for an unknown key."""
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
        """The translation of a description of a setting; the description itself if there is none."""
        return meanings(self.language).get(english, english)

    def section(self, name: str) -> dict[str, str | Mapping[str, str]]:
        """All texts of one table by name, for scripts of pages."""
        start = name + "."
        return {key.removeprefix(start): text for key, text in self._texts.items() if key.startswith(start)}

    def number(self, value: float, digits: int = 0) -> str:
        """A number such as `12,345.6`, rounded to exactly `digits` decimals."""
        return format_decimal(value, format="#,##0" + ("." + "0" * digits if digits else ""), locale=self._locale)

    def percent(self, text: str) -> str:
        """The percentage for an uptime of the API, such as "99.98", or a dash for "-"."""
        return "–" if text == "-" else format_percent(float(text) / 100, format="#,##0.00%", locale=self._locale)

    def target(self, value: float) -> str:
        """The percentage that a policy promises, with all its decimals: `99.9%`, `99.995%`."""
        return format_percent(value / 100, format="#,##0.####%", locale=self._locale, decimal_quantization=True)

    def day(self, day: date) -> str:
        """`Tue, Nov 24, 2026`, `2026년 11월 24일 (화)`."""
        return str(format_skeleton("yMMMEd", day, locale=self._locale))

    def short_day(self, day: date) -> str:
        """`Nov 24`, `11월 24일`."""
        return str(format_skeleton("MMMd", day, locale=self._locale))

    def full_day(self, day: date) -> str:
        """`Nov 24, 2026`, `2026. 11. 24.`."""
        return format_date(day, "medium", locale=self._locale)

    def month(self, day: date) -> str:
        """`November 2026`, `2026년 11월`."""
        return str(format_skeleton("yMMMM", day, locale=self._locale))

    def quarter(self, day: date) -> str:
        """`Q4 2026`, `2026년 4분기`."""
        return str(format_skeleton("yQQQ", day, locale=self._locale))

    def year(self, day: date) -> str:
        """`2026`, `2026년`."""
        return str(format_skeleton("y", day, locale=self._locale))

    def weekdays(self) -> list[str]:
        """Short names of the weekdays, beginning with Sunday as in the calendar of the API."""
        names = self._locale.days["stand-alone"]["abbreviated"]
        return [names[number % 7] for number in range(6, 13)]

    def moment(self, moment: datetime, seconds: bool = False) -> str:
        """Date and time: `Nov 24, 2026, 14:02`, `2026. 11. 24. 14:02`; with `seconds`, `14:02:10`."""
        pattern = str(self._locale.datetime_formats["medium"])
        day = format_date(self.local(moment), "medium", locale=self._locale)
        return pattern.replace("{1}", day).replace("{0}", self.clock(moment, seconds))

    def clock(self, moment: datetime, seconds: bool = False) -> str:
        """The time in 24-hour format in every language, so that it can be compared with logs."""
        return format_time(self.local(moment).time(), "HH:mm:ss" if seconds else "HH:mm", locale=self._locale)

    def local(self, moment: datetime) -> datetime:
        return moment.astimezone(self._zone)

    def duration(self, seconds: float) -> str:
        """A duration in its two largest units, rounded down: `2 h 5 min`, `3일 4시간`, `12 s`."""
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
        """`142 ms`, `1.24 s`; a dash for None."""
        if value is None:
            return "–"
        if value >= 1000:
            return self("duration.seconds", n=self.number(value / 1000, 2))
        return self("duration.ms", n=self.number(value, 1 if 0 < value < 10 else 0))


_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


@lru_cache(maxsize=64)
def texts(language: Language, zone: str) -> Texts:
    """The texts of a language with times in `zone`. The same object is returned again."""
    return Texts(language, zone)


@cache
def catalogue(language: Language) -> Mapping[str, str | Mapping[str, str]]:
    """All texts of a language by their key, `table.name`."""
    return dict(_flat({name: table for name, table in _file(language).items() if name != MEANINGS}))


@cache
def meanings(language: Language) -> Mapping[str, str]:
    """Translated descriptions of settings by the English ones. Empty for English."""
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
