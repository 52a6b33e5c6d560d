"""services.check_config of TCP services."""

from typing import Any

import psycopg
import pytest
from psycopg.errors import CheckViolation
from psycopg.types.json import Jsonb

TCP: dict[str, Any] = {"type": "tcp", "host": "db.example", "port": 5432}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"host": ""}, "host"),
        ({"host": None}, "host"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"port": "5432"}, "port"),
        ({"send": "a\nb"}, "send"),
        ({"expect": ""}, "expect"),
        ({"endpoint_url": "http://a.example/"}, "endpoint_url"),
    ],
)
def test_an_invalid_value_is_refused_by_field(database: str, change: dict[str, Any], field: str) -> None:
    insert = "INSERT INTO services (id, name, check_config) VALUES ('db', 'DB', %s)"
    with psycopg.connect(database, autocommit=True) as connection:
        with pytest.raises(CheckViolation) as refused:
            connection.execute(insert, [Jsonb(TCP | change)])
        assert refused.value.diag.constraint_name == f"services_{field}"
        connection.execute(insert, [Jsonb(TCP)])
        row = connection.execute("SELECT type, endpoint_url, check_config FROM services").fetchone()
    assert row == ("tcp", None, TCP)
