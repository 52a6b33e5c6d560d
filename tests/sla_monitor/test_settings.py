"""Settings: defaults, parsing, and errors of one line that name the variable."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.operations.settings import shown
from sla_monitor.settings import ENVIRONMENT, NEW_INSTALLATION, Settings, SettingsError, Terms, load, terms
from sla_monitor.settings.unknown import unknown_variables
from sla_monitor.settings.values import Limit

README = Path(__file__).parents[2] / "README.md"


def test_every_setting_has_a_variable_and_every_variable_a_setting() -> None:
    assert set(ENVIRONMENT) == set(Settings.__struct_fields__)
    names = [variable.name for variable in ENVIRONMENT.values()]
    assert len(names) == len(set(names))


def test_without_variables_all_settings_have_their_defaults() -> None:
    settings = load({})
    assert settings.database_url is None
    assert (settings.api_port, settings.prober_port) == (3001, 3008)
    assert settings.check_interval == timedelta(minutes=1)
    assert settings.check_timeout_ms == 7000
    assert terms(settings, NEW_INSTALLATION).time_zone == "UTC"
    assert settings.api_host == settings.prober_host == "127.0.0.1"


def test_an_empty_variable_counts_as_unset() -> None:
    assert load({"PORT": "", "SLA_MONITOR_TIMEZONE": " "}) == load({})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("* * * * *", 60),
        ("*/5 * * * *", 300),
        ("*/30 * * * * *", 30),
        ("0 * * * *", 3600),
        ("30s", 30),
        ("90", 90),
        ("2m", 120),
        ("1d", 86400),
    ],
)
def test_the_check_interval_is_a_cron_line_or_a_duration(text: str, seconds: int) -> None:
    assert load({"HEALTH_CHECK_INTERVAL": text}).check_interval == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PORT", "http", "a whole number from 1 to 65535"),
        ("PORT", "70000", "a whole number from 1 to 65535"),
        ("WATCH_SERVER_PORT", "0", "a whole number from 1 to 65535"),
        ("HEALTH_CHECK_INTERVAL", "0 9-17 * * *", "equal distances between its times"),
        ("HEALTH_CHECK_INTERVAL", "soon", "a duration such as"),
        ("HEALTH_CHECK_INTERVAL", "0s", "between 1 second and 1 day"),
        ("HEALTH_CHECK_INTERVAL", "1 2 3 4 five", "a cron line"),
        ("HEALTH_CHECK_TIMEOUT", "5", "from 100 to 60000"),
        ("SLA_MONITOR_TIMEZONE", "Mars/Olympus", "an IANA time zone"),
        ("SLA_MONITOR_TIMEZONE", "../../etc/passwd", "an IANA time zone"),
        ("SLA_MONITOR_TIMEZONE", "localtime", "an IANA time zone"),
        ("LOG_LEVEL", "loud", "one of debug, info, warning, error"),
        ("DATABASE_ENGINE", "mysql", "one of auto, timescaledb, postgresql"),
        ("CLIENT_URLS", "localhost", "an absolute http:// or https:// URL"),
        ("ID_RECOGNITION_ENDPOINT", "ftp://example.com", "an absolute http:// or https:// URL"),
        ("PROBE_DENY_NETWORKS", "10.0.0.0/33", "networks in CIDR notation"),
        ("PROBE_LOCATION", "Seoul!", "lowercase letters, digits and hyphens"),
        ("CHECK_RETENTION", "7d", "at least 8d"),
        ("CHECK_RETENTION", "9" * 30 + "d", "a duration of at most 999999999d"),
        ("AUDIT_RETENTION", "29d", "at least 30d"),
        ("CHECK_COMPRESS_AFTER", "500d", "shorter than CHECK_RETENTION"),
        ("TRUSTED_PROXIES", "proxy.example", "networks in CIDR notation"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "networks in CIDR notation"),
        ("JWT_EXPIRES_IN", "30s", "between 1m and 365d"),
        ("JWT_EXPIRES_IN", "never", "a duration"),
        ("REFRESH_EXPIRES_IN", "366d", "between 1m and 365d"),
        ("RATE_LIMIT_API", "100", "a limit such as 100/15m"),
        ("RATE_LIMIT_API", "0/15m", "a limit such as 100/15m"),
        ("RATE_LIMIT_API", "-5/15m", "a limit such as 100/15m"),
        ("RATE_LIMIT_API", "1000000001/d", "a limit such as 100/15m"),
        ("RATE_LIMIT_API", "9" * 5000 + "/m", "a limit such as 100/15m"),
        ("RATE_LIMIT_LOGIN", "5/0m", "a limit such as 100/15m"),
        ("RATE_LIMIT_LOGIN", "5/25h", "at most one day"),
        ("RATE_LIMIT_LOGIN", "5/", "a limit such as 100/15m"),
        ("RATE_LIMIT_INCIDENTS", "ten/m", "a limit such as 100/15m"),
        ("RATE_LIMIT_SOCKETS", "no", "or off"),
        ("RATE_LIMIT_PAGES", "600", "a limit such as 100/15m"),
        ("SITE_TITLE", "a\nb", "one line of at most 100 characters"),
        ("SITE_TITLE", "x" * 101, "one line of at most 100 characters"),
        ("SITE_COLOR", "red", "a colour such as #0b6e4f"),
        ("SITE_COLOR", "#fff;}body{display:none", "a colour such as #0b6e4f"),
        ("SITE_LOGO", "/nowhere/logo.svg", "an existing file"),
        ("SITE_LOGO", "/" + "x" * 5000 + ".png", "an existing file"),
        ("SITE_LOGO", "/etc/passwd", "an .svg or a .png"),
        ("SITE_URL", "status.example.com", "an absolute http:// or https:// URL"),
        ("SITE_URL", "https://example.com/status", "without a path"),
        ("SITE_URL", "https://me:secret@example.com", "without a path"),
    ],
)
def test_an_invalid_value_gives_an_error_of_one_line_that_names_the_variable(
    variable: str, value: str, message: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        terms(load({variable: value}), NEW_INSTALLATION)
    line = str(raised.value)
    assert variable in line
    assert message in line
    assert "\n" not in line
    assert raised.value.exit_code == 2


def test_stored_settings_stay_if_their_variables_are_not_set() -> None:
    stored = Terms("Asia/Seoul", timedelta(days=30), timedelta(days=3))
    assert terms(load({}), stored) == stored
    assert terms(load({"SLA_MONITOR_TIMEZONE": "Europe/Vienna"}), stored) == stored._replace(time_zone="Europe/Vienna")
    assert terms(load({"CHECK_RETENTION": "90d"}), stored) == stored._replace(retention=timedelta(days=90))


def test_a_bad_database_url_does_not_show_its_password() -> None:
    with pytest.raises(SettingsError) as raised:
        load({"DATABASE_URL": "mysql://root:hunter2@db/x"})
    assert "hunter2" not in str(raised.value)
    assert "DATABASE_URL" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("100/15m", Limit(100, timedelta(minutes=15))),
        ("10/m", Limit(10, timedelta(minutes=1))),
        ("3/s", Limit(3, timedelta(seconds=1))),
        (" 1000000000 / 24h ", Limit(1_000_000_000, timedelta(days=1))),
        ("5/90", Limit(5, timedelta(seconds=90))),
        ("off", None),
        ("OFF", None),
    ],
)
def test_a_rate_limit_is_a_number_per_window_or_off(text: str, limit: Limit | None) -> None:
    assert load({"RATE_LIMIT_API": text}).rate_limit_api == limit


def test_default_limits_and_lifetimes() -> None:
    settings = load({})
    assert settings.rate_limit_api == Limit(100, timedelta(minutes=15))
    assert settings.rate_limit_login == Limit(5, timedelta(minutes=15))
    assert settings.rate_limit_incidents == Limit(10, timedelta(minutes=1))
    assert settings.rate_limit_sockets == Limit(30, timedelta(minutes=1))
    assert (settings.access_token_lifetime, settings.refresh_token_lifetime) == (timedelta(days=1), timedelta(days=7))
    assert (settings.jwt_secret, settings.trusted_proxies) == (None, ())


def test_the_settings_of_the_site(tmp_path: Path) -> None:
    logo = tmp_path / "logo.svg"
    logo.write_text("<svg/>")
    given = {"SITE_TITLE": "서비스 상태", "SITE_COLOR": "#0B6E4F", "SITE_LOGO": str(logo)}
    settings = load({**given, "SITE_URL": "https://Status.Example.com/"})
    assert (settings.site_title, settings.site_color, settings.site_logo) == ("서비스 상태", "#0b6e4f", logo)
    assert settings.site_url == "https://status.example.com"


def test_proxies_are_trusted_by_network() -> None:
    trusted = load({"TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.7,fd00::/8"}).trusted_proxies
    assert [str(network) for network in trusted] == ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"]


def test_a_short_key_is_refused_and_not_shown() -> None:
    with pytest.raises(SettingsError) as raised:
        load({"JWT_SECRET": "hunter2"})
    assert "JWT_SECRET=***" in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert load({"JWT_SECRET": "\u00e9" * 16}).jwt_secret == "\u00e9" * 16  # 32 bytes, 16 characters


@pytest.mark.parametrize(
    "published",
    [
        "your-super-secret-jwt-key-change-this-in-production",
        "YOUR_SUPER_SECRET_JWT_KEY_AT_LEAST_32_CHARACTERS",
        "please-change-me-please-change-me-please",
        "replace_this_with_a_long_random_string",
    ],
)
def test_a_key_of_public_examples_is_refused(published: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load({"JWT_SECRET": published})
    assert str(raised.value).startswith("JWT_SECRET=*** is not a secret")
    assert published not in str(raised.value)


def test_words_inside_other_words_are_not_placeholders() -> None:
    phrase = "an-exchange-medal-of-the-latest-secretary"
    assert load({"JWT_SECRET": phrase}).jwt_secret == phrase


@pytest.mark.parametrize(
    ("text", "level"),
    [("warn", "warning"), ("WARN", "warning"), ("Warning", "warning"), ("fatal", "error"), ("trace", "debug")],
)
def test_level_names_of_other_programs_are_accepted(text: str, level: str) -> None:
    assert load({"LOG_LEVEL": text}).log_level == level


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("CLIENT_URL", "CLIENT_URL is not a setting: is CLIENT_URLS meant?"),
        ("JWT_SECERT", "JWT_SECERT is not a setting: is JWT_SECRET meant?"),
        ("SLA_MONITOR_TIME_ZONE", "SLA_MONITOR_TIME_ZONE is not a setting: is SLA_MONITOR_TIMEZONE meant?"),
        ("HEALTH_CHECK_RETRY", "HEALTH_CHECK_RETRY is not a setting"),
        ("REDIS_URL", "REDIS_URL is no longer used"),
    ],
)
def test_an_unknown_variable_is_reported(name: str, message: str) -> None:
    assert unknown_variables({name: "x", "PATH": "/bin", "PORT": "3001"}) == [message]


def test_variables_of_other_programs_are_not_reported() -> None:
    others = [
        "PATH",
        "HOME",
        "HOSTNAME",
        "PORTS",
        "DATABASE",
        "SHELL",
        "SSL_CERT_DIR",
        "NIX_SSL_CERT_FILE",
        "SMTP_PORT",
        "SMTP_PASS",
        "CI",
    ]
    kubernetes = ["SLA_MONITOR_PORT", "SLA_MONITOR_PORT_3001_TCP_ADDR", "SLA_MONITOR_SERVICE_HOST"]
    ours = [variable.name for variable in ENVIRONMENT.values()]
    assert unknown_variables(dict.fromkeys([*others, *kubernetes, *ours, "SLA_MONITOR_PARENT"], "x")) == []


@given(st.sampled_from([variable.name for variable in ENVIRONMENT.values()]), st.text(max_size=40))
def test_any_text_is_a_value_or_a_settings_error(name: str, text: str) -> None:
    try:
        load({name: text})
    except SettingsError as error:
        assert name in str(error) or "CHECK_" in str(error)


def test_the_home_of_an_unknown_user_is_refused() -> None:
    with pytest.raises(SettingsError, match="SLA_MONITOR_HOME='~no-such-user/x' is not a path: there is no such user"):
        load({"SLA_MONITOR_HOME": "~no-such-user/x"})


def settings_table() -> list[str]:
    """The rows of the table in the README, from the declarations."""
    defaults = Settings()
    rows = []
    for field, variable in ENVIRONMENT.items():
        rows.append(f"| `{variable.name}` | {_shown(field, getattr(defaults, field))} | {variable.meaning} |")
    return rows


def _shown(field: str, value: object) -> str:
    if field == "home":
        return "the user's data directory; `/var/lib/sla-monitor` for root"
    if field in Terms._fields:
        value = getattr(NEW_INSTALLATION, field)
    text = shown(field, value)
    return f"`{text}`" if text is not None else ""


def test_the_readme_lists_every_setting() -> None:
    table = README.read_text().split("<!-- settings -->")[1].split("<!-- /settings -->")[0]
    assert table.strip().splitlines()[2:] == settings_table()
