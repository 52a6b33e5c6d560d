"""The catalogues of texts have the same keys and no unused ones; dates, numbers and languages have the right format."""

import re
import string
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.edge.negotiation import MAX_HEADER_CHARACTERS, _preferred, negotiated
from sla_monitor.settings import ENVIRONMENT
from sla_monitor.texts.languages import (
    DEFAULT,
    LANGUAGES,
    Language,
    Texts,
    catalogue,
    meanings,
    texts,
)

ROOT = Path(str(files("api")))
FORMS = {"en": {"one", "other"}, "ko": {"other"}}
MOMENT = datetime(2026, 11, 24, 5, 2, tzinfo=UTC)
KEYS = frozenset(catalogue("en"))
TABLES = frozenset(key.partition(".")[0] for key in KEYS)


def forms_of(text: str | Mapping[str, str]) -> list[str]:
    return [text] if isinstance(text, str) else list(text.values())


def placeholders(text: str | Mapping[str, str]) -> list[frozenset[str | None]]:
    return [frozenset(name for _, name, _, _ in string.Formatter().parse(form) if name) for form in forms_of(text)]


def test_both_catalogues_have_the_same_keys() -> None:
    assert set(catalogue("ko")) == KEYS


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != DEFAULT])
def test_every_meaning_of_a_setting_is_translated(language: Language) -> None:
    """The keys are the English meanings: a changed meaning needs a new translation."""
    english = {variable.meaning for variable in ENVIRONMENT.values()}
    assert set(meanings(language)) == english
    assert all(text.strip() and text not in english for text in meanings(language).values())
    assert texts(language, "UTC").meaning("port of the API") == meanings(language)["port of the API"]


def test_a_text_has_the_same_placeholders_in_both_languages() -> None:
    errors = []
    for key in sorted(KEYS):
        english, korean = catalogue("en")[key], catalogue("ko")[key]
        forms = [*placeholders(english), *placeholders(korean)]
        if len({form | {"count"} for form in forms}) > 1:  # the singular may leave out the count
            errors.append(key)
        if isinstance(korean, str) != isinstance(english, str):
            errors.append(f"{key}: only one of the languages has plural forms")
    assert errors == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_empty_and_plurals_have_the_forms_of_their_language(language: Language) -> None:
    for key, text in catalogue(language).items():
        assert isinstance(text, str) or set(text) == FORMS[language], key
        assert all(form.strip() == form and form for form in forms_of(text)), key


def sources() -> Iterator[tuple[Path, str]]:
    for pattern in ("**/*.py", "pages/templates/**/*.html", "pages/templates/**/*.svg", "pages/static/js/*.js"):
        for path in ROOT.glob(pattern):
            yield path, path.read_text("utf-8")
    for folder in ("texts", "reports"):
        for path in ROOT.parent.glob(f"sla_monitor/{folder}/*.py"):
            yield path, path.read_text("utf-8")


SOURCES = dict(sources())
ALL = "\n".join(SOURCES.values())
USED = re.compile(r"""\bt\(\s*f?["']([a-z_]+\.[\w{.-]*)["'](\s*[~+])?""")
PREFIXES = re.compile(r"""["']([a-z_]+\.[\w-]*)["']\s*[~+]|f["']([a-z_]+\.[\w-]*)\{""")
SUFFIXES = re.compile(r"""~\s*["'](\.[\w-]+)["']|\{\w+\}(\.[\w-]+)""")
SECTIONS = re.compile(r"""section\(["'](\w+)["']\)""")


def test_every_used_text_exists() -> None:
    missing = []
    for path, source in SOURCES.items():
        for key, more in USED.findall(source):
            prefix = key.partition("{")[0]
            exists = any(found.startswith(prefix) for found in KEYS) if more or "{" in key else key in KEYS
            missing += [] if exists else [f"{path.relative_to(ROOT.parent)}: {key}"]
    assert missing == []


def test_every_text_is_used() -> None:
    """A text is used by its whole key, by a prefix or suffix of a composed key, or by a script that gets its
    section."""
    prefixes = {one or other for one, other in PREFIXES.findall(ALL)} - {""}
    suffixes = {one or other for one, other in SUFFIXES.findall(ALL)}
    scripts = "\n".join(source for path, source in SOURCES.items() if path.suffix == ".js")
    script_sections = set(SECTIONS.findall(ALL))
    quoted = set(re.findall(r"""(?<=["'])[\w.-]+(?=["'])""", ALL))
    in_scripts = set(re.findall(r"""(?<=["'`.])\w+""", scripts))
    unused = []
    for key in KEYS:
        table, _, name = key.partition(".")
        used = (
            key in quoted
            or any(key.startswith(prefix) for prefix in prefixes if prefix.partition(".")[0] in TABLES)
            or any(
                key == table + suffix or (suffix.endswith("_") and f".{name}".startswith(suffix)) for suffix in suffixes
            )
            or (table in script_sections and name in in_scripts)
        )
        unused += [] if used else [key]
    assert sorted(unused) == []


def test_templates_contain_no_texts() -> None:
    """Between the tags of a template are expressions and punctuation, and no words."""
    found = []
    for path, source in SOURCES.items():
        if path.suffix == ".html" and "templates" in path.parts:
            bare = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", " ", source, flags=re.DOTALL)
            bare = re.sub(r"<(script|style|code)\b.*?</\1>|<[^>]*>", " ", bare, flags=re.DOTALL)
            bare = re.sub(r"""[\w-]+="[^"]*"|[/?&]\w+=?|\w+=""", " ", bare)  # attributes and URLs in macros
            found += [f"{path.name}: {word}" for word in re.findall(r"[^\W\d_]{2,}", re.sub(r"&\w+;", "", bare))]
    assert found == []


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "en",
            {
                "day": "Tue, Nov 24, 2026",
                "short_day": "Nov 24",
                "full_day": "Nov 24, 2026",
                "month": "November 2026",
                "moment": "Nov 24, 2026, 14:02",
                "clock": "14:02",
            },
        ),
        (
            "ko",
            {
                "day": "2026년 11월 24일 (화)",
                "short_day": "11월 24일",
                "full_day": "2026. 11. 24.",
                "month": "2026년 11월",
                "moment": "2026. 11. 24. 14:02",
                "clock": "14:02",
            },
        ),
    ],
)
def test_dates_are_in_the_format_of_the_language_and_in_the_time_zone(
    language: Language, expected: dict[str, str]
) -> None:
    t = texts(language, "Asia/Seoul")
    values = {name: MOMENT if name in ("moment", "clock") else date(2026, 11, 24) for name in expected}
    assert {name: getattr(t, name)(values[name]) for name in expected} == expected
    late = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)
    assert t.clock(late) == "08:30" and "25" in t.moment(late)


@pytest.mark.parametrize(("language", "first", "last"), [("en", "Sun", "Sat"), ("ko", "일", "토")])
def test_weeks_begin_on_sunday(language: Language, first: str, last: str) -> None:
    names = texts(language, "UTC").weekdays()
    assert (len(names), names[0], names[-1]) == (7, first, last)


def test_numbers_percentages_and_durations_have_units() -> None:
    t = Texts("en")
    assert (t.number(1234567), t.number(1.25, 2), t.percent("99.9"), t.percent("-")) == (
        "1,234,567",
        "1.25",
        "99.90%",
        "–",
    )
    assert [t.milliseconds(value) for value in (None, 0, 0.42, 9.96, 42.4, 1240)] == [
        "–",
        "0 ms",
        "0.4 ms",
        "10.0 ms",
        "42 ms",
        "1.24 s",
    ]
    seconds = (0, 59, 60, 3600, 3661, 90061, 86400, 86460)
    expected = ["0 s", "59 s", "1 min", "1 h", "1 h 1 min", "1 d 1 h", "1 d", "1 d"]
    assert [t.duration(value) for value in seconds] == expected


@given(st.decimals(0, 100, places=2))
def test_an_uptime_is_not_rounded(uptime: object) -> None:
    """99.99 is never shown as 100."""
    assert Texts("en").percent(str(uptime)) == f"{uptime:.2f}%"


def test_plural_forms_depend_on_the_count() -> None:
    english, korean = Texts("en"), Texts("ko")
    assert english("site.problems", count=1) != english("site.problems", count=2)
    assert "1,200 fields" in english("site.problems", count=1200)
    assert korean("site.problems", count=1).startswith("1개")


def test_a_missing_text_or_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        Texts("en")("site.nothing")
    with pytest.raises(KeyError):
        Texts("en")("site.page_of", page=1)


@pytest.mark.parametrize(
    ("accepted", "chosen", "language"),
    [
        ("", "", "en"),
        ("ko", "", "ko"),
        ("ko-KR,ko;q=0.9,en;q=0.8", "", "ko"),
        ("en-GB,ko;q=0.9", "", "en"),
        ("en;q=0.5, ko;q=0.8", "", "ko"),
        ("fr, ko;q=0.1", "", "ko"),
        ("fr,de", "", "en"),
        ("ko;q=0, en;q=0.1", "", "en"),
        ("KO", "", "ko"),
        ("kok", "", "en"),
        ("ko;q=nan", "", "en"),
        ("ko;q=9", "", "en"),
        ("en;q=0.5, ko; q=0.8", "", "ko"),
        ("en ; Q=0.5,ko\t;\tQ=0.8", "", "ko"),
        ("en;level=1;q=0.5, ko;q=0.8", "", "ko"),
        ("ko;q=0.0, en;q=0", "", "en"),
        ("ko", "en", "en"),
        ("en", "ko", "ko"),
        ("ko", "xx", "ko"),
    ],
)
def test_the_language_is_the_chosen_one_or_that_of_the_browser(accepted: str, chosen: str, language: str) -> None:
    assert negotiated(accepted, chosen) == language


tags = st.sampled_from(["ko", "en", "fr", "ko-KR", "en-US", "de-CH"])
qualities = st.integers(1, 10).map(lambda tenths: tenths / 10)


@given(st.lists(st.tuples(tags, qualities), max_size=6))
@example([("en", 0.5), ("ko", 0.5)])
def test_the_first_language_with_the_highest_quality_is_used(wanted: list[tuple[str, float]]) -> None:
    supported = [(quality, tag[:2]) for tag, quality in wanted if tag[:2] in LANGUAGES]
    best = max((quality for quality, _ in supported), default=0)
    expected = next((tag for quality, tag in supported if quality == best), DEFAULT)
    assert negotiated(", ".join(f"{tag};q={quality}" for tag, quality in wanted)) == expected


@given(st.text(max_size=600), st.text(max_size=10))
def test_any_header_yields_a_language(accepted: str, chosen: str) -> None:
    assert negotiated(accepted, chosen) in LANGUAGES


def test_long_headers_are_not_cached() -> None:
    before = _preferred.cache_info().currsize
    for number in range(20):
        assert negotiated("ko," + " " * MAX_HEADER_CHARACTERS + "x" * number) == "ko"
        assert negotiated("ko", "x" * 1000 + str(number)) == "ko"
    assert _preferred.cache_info().currsize <= before + 2
