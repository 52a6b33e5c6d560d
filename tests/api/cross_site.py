"""Requests as other sites send them, and the state that they must not change."""

import re
from collections.abc import Mapping
from typing import Any

import psycopg

from tests.api.conftest import Api

Db = psycopg.AsyncConnection[Any]
FRONT_END = "http://front.example"
HTML = {"Accept": "text/html"}
FORM = "application/x-www-form-urlencoded"


def origin(api: Api) -> str:
    return f"http://127.0.0.1:{api.settings.api_port}"


async def form_token(api: Api, cookie: str) -> str:
    """Returns the CSRF token of the session, read from one of its pages."""
    page = await api.http.get("/console/account", headers=HTML | {"Cookie": cookie})
    found = re.search(r'name="csrf" value="(\w+)"', page.text)
    assert found, page.text
    return found[1]


async def state_of_database(db: Db) -> Any:
    """Returns values that any change of the database would alter."""
    cursor = await db.execute(
        "SELECT (SELECT max(id) FROM audit_entries), (SELECT max(seq) FROM events), "
        "(SELECT count(*) FROM sessions WHERE revoked_at IS NULL)"
    )
    return await cursor.fetchone()


def forgeries(api: Api) -> Mapping[str, dict[str, str]]:
    """Returns the headers of browsers for forms of other origins, by kind."""
    own, port = origin(api), api.settings.api_port
    return {
        "no headers": {},
        "foreign": {"Origin": "http://evil.example"},
        "null": {"Origin": "null"},
        "empty": {"Origin": ""},
        "a front end": {"Origin": FRONT_END},
        "a subdomain": {"Origin": f"http://evil.127.0.0.1:{port}"},
        "a longer name": {"Origin": f"{own}.evil.example"},
        "another port": {"Origin": f"http://127.0.0.1:{port + 1}"},
        "no port": {"Origin": "http://127.0.0.1"},
        "in a path": {"Origin": f"http://evil.example/{own}"},
        "in a user": {"Origin": f"http://127.0.0.1:{port}@evil.example"},
        "only a referrer": {"Referer": f"{own}/console"},
        "same site": {"Sec-Fetch-Site": "same-site"},
        "cross site": {"Sec-Fetch-Site": "cross-site"},
        "entered in the address bar": {"Sec-Fetch-Site": "none"},
        "contradictory": {"Origin": own, "Sec-Fetch-Site": "cross-site"},
        "own origin and same site": {"Origin": own, "Sec-Fetch-Site": "same-site"},
    }
