"""services.check_config: the schema of each check type, and the columns of release 0.1 that are kept consistent with
it."""

from typing import Any

import msgspec
import psycopg
import pytest
from psycopg.errors import CheckViolation
from psycopg.types.json import Jsonb

from sla_monitor.checks import CHECK_TYPES, read_config

HTTP: dict[str, Any] = {"type": "http", "endpoint_url": "https://shop.example/"}
INVALID: list[tuple[dict[str, Any], str]] = [
    ({"endpoint_url": ""}, "endpoint_url"),
    ({"endpoint_url": "ftp://shop.example/"}, "endpoint_url"),
    ({"endpoint_url": None}, "endpoint_url"),
    ({"endpoint_url": "http://a.example/" + "x" * 2048}, "endpoint_url"),
    ({"method": "TRACE"}, "method"),
    ({"headers": []}, "headers"),
    ({"headers": {"X-A": 5}}, "headers"),
    ({"body": "x" * 65537}, "body"),
    ({"expected_status_codes": []}, "expected_status_codes"),
    ({"expected_status_codes": [99]}, "expected_status_codes"),
    ({"expected_status_codes": [1000]}, "expected_status_codes"),
    ({"expected_status_codes": [200.5]}, "expected_status_codes"),
    ({"expected_status_codes": ["200"]}, "expected_status_codes"),
    ({"keyword": ""}, "keyword"),
    ({"keyword": "a\nb"}, "keyword"),
    ({"keyword_absent": "x" * 1001}, "keyword_absent"),
    ({"json_path": "a.b"}, "json_path"),
    ({"json_value": "a\u202eb"}, "json_value"),
    ({"verify_tls": None}, "verify_tls"),
    ({"verify_tls": "yes"}, "verify_tls"),
    ({"follow_redirects": 21}, "follow_redirects"),
    ({"follow_redirects": 10**30}, "follow_redirects"),
    ({"type": "icmp"}, "type"),
    ({"type": None}, "type"),
    ({"nonsense": 1}, "nonsense"),
    ({"enabled": False}, "enabled"),
]


def stored(connection: psycopg.Connection[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the configuration and the row of the only service."""
    found = connection.execute("SELECT check_config, to_jsonb(services) FROM services").fetchall()
    [(config, row)] = found
    return config, row


def insert(connection: psycopg.Connection[Any], config: Any) -> None:
    connection.execute("INSERT INTO services (id, name, check_config) VALUES ('shop', 'Shop', %s)", [Jsonb(config)])


def test_missing_fields_have_their_defaults(database: str) -> None:
    with psycopg.connect(database) as connection:
        insert(connection, HTTP)
        config, row = stored(connection)
    assert read_config(config) == read_config(HTTP)
    assert config == msgspec.json.decode(msgspec.json.encode(read_config(HTTP)))
    assert (row["type"], row["endpoint_url"], row["method"]) == ("http", "https://shop.example/", "GET")
    assert row["expected_status_codes"] == [200]


@pytest.mark.parametrize(("change", "field"), INVALID)
def test_an_invalid_value_is_refused_by_field(database: str, change: dict[str, Any], field: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        with pytest.raises(CheckViolation) as refused:
            insert(connection, HTTP | change)
        assert refused.value.diag.constraint_name == f"services_{field}"
        insert(connection, HTTP)
        with pytest.raises(CheckViolation) as refused:
            connection.execute("UPDATE services SET check_config = %s", [Jsonb(HTTP | change)])
        assert refused.value.diag.constraint_name == f"services_{field}"
        assert stored(connection)[0] == msgspec.json.decode(msgspec.json.encode(read_config(HTTP)))


@pytest.mark.parametrize("config", [None, 5, "http", [], {}, {"endpoint_url": "http://a/"}])
def test_an_invalid_configuration_is_refused(database: str, config: Any) -> None:
    with psycopg.connect(database) as connection, pytest.raises(psycopg.IntegrityError):
        insert(connection, config)


def test_the_columns_of_release_0_1_are_read_and_written(database: str) -> None:
    """Its programs keep running during an upgrade."""
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO services (id, name, endpoint_url, keyword, expected_status_codes) "
            "VALUES ('shop', 'Shop', 'http://a.example/', 'ok', '{200,204}')"
        )
        config, _ = stored(connection)
        assert (config["endpoint_url"], config["keyword"]) == ("http://a.example/", "ok")
        assert config["expected_status_codes"] == [200, 204]
        connection.execute("UPDATE services SET endpoint_url = 'http://b.example/', keyword = NULL")
        config, _ = stored(connection)
        assert (config["endpoint_url"], config["keyword"]) == ("http://b.example/", None)
        connection.execute("""UPDATE services SET check_config = check_config || '{"method": "HEAD", "body": "x"}'""")
        _, row = stored(connection)
        assert (row["method"], row["body"], row["endpoint_url"]) == ("HEAD", "x", "http://b.example/")
        connection.execute("UPDATE services SET name = 'Store'")
        assert stored(connection)[0]["method"] == "HEAD"


def test_every_type_has_a_schema(database: str) -> None:
    with psycopg.connect(database) as connection:
        for name in CHECK_TYPES:
            row = connection.execute("SELECT check_schema(%s) -> 'properties' ? 'type'", [name]).fetchone()
            assert row == (True,)


def test_secrets_are_not_shown_in_the_audit_log(database: str) -> None:
    with psycopg.connect(database) as connection:
        insert(connection, HTTP | {"headers": {"Authorization": "s3cret"}, "body": "s3cret", "keyword": "fine"})
        connection.execute("""UPDATE services SET check_config = check_config || '{"body": "s3cret too"}'""")
        lines = connection.execute(
            "SELECT coalesce(before::text, '') || after FROM audit_entries ORDER BY id"
        ).fetchall()
    assert len(lines) == 2
    assert all("s3cret" not in text and "***" in text for (text,) in lines)
    assert "fine" in lines[0][0] and "check_config" not in lines[0][0]
