"""How services are checked becomes a document; programs of the last release go on with the columns that they know."""

import psycopg

from sla_monitor.checks import read_config
from sla_monitor.checks.http import Http
from sla_monitor.settings import Settings
from sql.migrate import migrate
from tests.upgrade.processes import LastRelease
from tests.upgrade.sessions import ask, installed

SHOP = """
INSERT INTO services (id, name, endpoint_url, method, headers, body, expected_status_codes, keyword, keyword_absent,
                      json_path, json_value, verify_tls, follow_redirects)
VALUES ('shop', 'Shop', 'https://shop.example/', 'POST', '{"X-A": "b"}', '{"a": 1}', '{200,204}', 'ok', 'error',
        '$.status', 'up', false, 0)
"""
CHANGED = "SELECT updated_at FROM services ORDER BY id"
NOTED = "SELECT count(*) FROM audit_entries"


async def test_the_columns_become_a_document_and_stay(empty_database: str, last_release: LastRelease) -> None:
    await installed(last_release, empty_database)
    with psycopg.connect(empty_database) as connection:
        connection.execute(SHOP)
    before = await last_release.call("ask", empty_database, "services/enabled", {})
    changed, noted = ask(empty_database, CHANGED), ask(empty_database, NOTED)
    assert [row[0] for row in before] == ["shop", "web"]
    await migrate(empty_database, Settings())

    assert await last_release.call("ask", empty_database, "services/enabled", {}) == before
    assert (ask(empty_database, CHANGED), ask(empty_database, NOTED)) == (changed, noted)
    [(shop,), (web,)] = ask(empty_database, "SELECT check_config FROM services ORDER BY id")
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


async def test_its_probers_are_not_given_what_they_cannot_check(empty_database: str, last_release: LastRelease) -> None:
    """They log a service without a URL and go on."""
    await installed(last_release, empty_database)
    await migrate(empty_database, Settings())
    with psycopg.connect(empty_database) as connection:
        connection.execute(
            "INSERT INTO services (id, name, check_config) "
            """VALUES ('db', 'DB', '{"type": "tcp", "host": "db.example", "port": 1}')"""
        )
    rows = await last_release.call("ask", empty_database, "services/enabled", {})
    assert [(row[0], row[1], row[2]) for row in rows if row[0] == "db"] == [("db", "tcp", "None")]
