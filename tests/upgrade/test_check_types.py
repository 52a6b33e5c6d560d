"""The migration adds the check_config document to services. Programs of the last release still use the columns."""

import psycopg

from sla_monitor.checks import read_config
from sla_monitor.checks.http import Http
from sla_monitor.settings import Settings
from sql.migrate import migrate
from tests.upgrade.processes import LastRelease
from tests.upgrade.sessions import fetch, install

SHOP = """
INSERT INTO services (id, name, endpoint_url, method, headers, body, expected_status_codes, keyword, keyword_absent,
                      json_path, json_value, verify_tls, follow_redirects)
VALUES ('shop', 'Shop', 'https://shop.example/', 'POST', '{"X-A": "b"}', '{"a": 1}', '{200,204}', 'ok', 'error',
        '$.status', 'up', false, 0)
"""
UPDATED_AT = "SELECT updated_at FROM services ORDER BY id"
AUDIT_ENTRIES = "SELECT count(*) FROM audit_entries"


async def test_check_config_has_the_values_of_the_columns_which_stay(
    empty_database: str, last_release: LastRelease
) -> None:
    await install(last_release, empty_database)
    with psycopg.connect(empty_database) as connection:
        connection.execute(SHOP)
    before = await last_release.call("run_query", empty_database, "services/enabled", {})
    updated_at, audit_entries = fetch(empty_database, UPDATED_AT), fetch(empty_database, AUDIT_ENTRIES)
    assert [row[0] for row in before] == ["shop", "web"]
    await migrate(empty_database, Settings())

    assert await last_release.call("run_query", empty_database, "services/enabled", {}) == before
    assert (fetch(empty_database, UPDATED_AT), fetch(empty_database, AUDIT_ENTRIES)) == (updated_at, audit_entries)
    [(shop,), (web,)] = fetch(empty_database, "SELECT check_config FROM services ORDER BY id")
    assert read_config(shop) == Http(
        endpoint_url="https://shop.example/",
        method="POST",
        headers={"X-A": "b"},
        body='{"a": 1}',
        expected_status_codes=(200, 204),
        keyword="ok",
        keyword_absent="error",
        json_path="$.status",
        json_value="up",
        verify_tls=False,
        follow_redirects=0,
    )
    assert read_config(web) == Http(endpoint_url=web["endpoint_url"])


async def test_a_tcp_service_has_no_url_for_probers_of_the_last_release(
    empty_database: str, last_release: LastRelease
) -> None:
    """Those probers log a service without a URL and continue."""
    await install(last_release, empty_database)
    await migrate(empty_database, Settings())
    with psycopg.connect(empty_database) as connection:
        connection.execute(
            "INSERT INTO services (id, name, check_config) "
            """VALUES ('db', 'DB', '{"type": "tcp", "host": "db.example", "port": 1}')"""
        )
    rows = await last_release.call("run_query", empty_database, "services/enabled", {})
    assert [(row[0], row[1], row[2]) for row in rows if row[0] == "db"] == [("db", "tcp", "None")]
