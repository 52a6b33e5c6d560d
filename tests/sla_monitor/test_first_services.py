"""Variables of the first services: a later start warns about those that no longer have an effect."""

import logging

import psycopg
import pytest

from sla_monitor.command.first_services import register_first_services
from sla_monitor.settings import load

FIRST = {"FACE_COMPARE_ENDPOINT": "http://compare.example/", "HEALTH_CHECK_INTERVAL": "60s"}


async def warnings(
    database: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> list[str]:
    caplog.clear()
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        for name, value in variables.items():
            patch.setenv(name, value)
        await register_first_services(database, load(variables))
    return [record.getMessage() for record in caplog.records]


async def test_a_changed_variable_without_effect_gives_a_warning(
    any_database: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await warnings(any_database, caplog, monkeypatch, FIRST) == []
    assert await warnings(any_database, caplog, monkeypatch, FIRST) == []
    assert await warnings(any_database, caplog, monkeypatch, {}) == []
    moved = {**FIRST, "FACE_COMPARE_ENDPOINT": "http://elsewhere.example/?token=x", "HEALTH_CHECK_TIMEOUT": "5000"}
    endpoint, timeout = await warnings(any_database, caplog, monkeypatch, moved)
    assert endpoint.startswith("FACE_COMPARE_ENDPOINT has no effect: face-compare exists with another URL")
    assert "token" not in endpoint
    assert timeout.startswith("HEALTH_CHECK_TIMEOUT applies to new services only: curp-verifier, face-compare, ")
    [interval] = await warnings(any_database, caplog, monkeypatch, {"HEALTH_CHECK_INTERVAL": "30s"})
    assert interval.startswith("HEALTH_CHECK_INTERVAL applies to new services only: ")
    with psycopg.connect(any_database) as connection:
        rows = connection.execute("SELECT DISTINCT interval_seconds, timeout_ms FROM services").fetchall()
    assert rows == [(60, 7000)]
    # A missing URL is set. A service of services.toml does not use the variables.
    with psycopg.connect(any_database) as connection:
        connection.execute("UPDATE services SET declared_in = 'services.toml' WHERE id = 'face-compare'")
    late = {"FACE_COMPARE_ENDPOINT": "http://third.example/", "CURP_VERIFIER_ENDPOINT": "http://curp.example/"}
    assert await warnings(any_database, caplog, monkeypatch, late) == []
