"""An installation in which every text is an attack, and the same installation with harmless texts for comparison."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

import sql
from api.edge.cookies import SESSION
from sla_monitor.formats.one_line import on_one_line
from tests.api.conftest import Api, User, create_user, running_api, signer
from tests.api.page_routes import Values

Db = psycopg.AsyncConnection[Any]
SITE = Path(__file__).with_name("hostile_site.sql")
SUM, TOTAL = "{{1337*7331}}", "9801547"
"""A template expression, and its result if a template engine evaluated it."""
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)' autofocus onfocus='alert(1)",
    "</script><script>alert(1)</script>",
    "<!--</textarea></title></style><svg/onload=alert(1)>",
    "[x](javascript:alert(1)) [y](data:text/html,x) [z](vbscript:x)",
    "![z](data:image/svg+xml,<svg/onload=alert(1)>) ![w](//evil.example/w)",
    "[e](//evil.example) [j](JaVaScRiPt&colon;alert(1)) <javascript:alert(1)>",
    "<a href=javascript:alert(1) target=_top>x</a><form action=//evil.example>",
    SUM + " {% include 'layout.html' %} ${1337*7331} #{1337*7331} <%= 1337*7331 %>",
    "\u202egpj.exe\u202c \u2066x\u200f",
    "\x01\x08\x0c\x1b\x7f\x85\u2028\ufeff\ufffe",
    "W" * 100,
    "&lt;script&gt;alert(1)&lt;/script&gt; &#60;script&#62; &amp;amp;",
    "{count} {title} {0} {} %s %(x)s \\u003cscript\\u003e \\",
    '`</code><script>alert(1)</script>` ```x" onload=alert(1)',
    "--><svg><desc><![CDATA[</desc><script>alert(1)</script>]]>",
    "a\r\nSet-Cookie: sla_session=evil\r\n\r\n<script>alert(1)</script>",
)
HARMLESS = tuple(
    f"Text {number} says **something** and [leads](https://example.com) on" for number in range(len(HOSTILE))
)


class SiteData(NamedTuple):
    """The admin of the site, and the values of path parameters."""

    admin: User
    values: Values


Site = tuple[Api, SiteData]


async def fill(db: Db, texts: Sequence[str]) -> SiteData:
    """Stores one row of every resource for each text, see hostile_site.sql."""
    admin = await create_user(db, username="boss")
    other = await create_user(db, "viewer", username="other")
    await db.execute(sql.query("checks/incoming"))
    lines = [on_one_line(text, "?") for text in texts]
    values = {"texts": list(texts), "lines": lines, "first": texts[0], "user_id": admin.user_id}
    async with db.transaction():
        for statement in SITE.read_text().split(";\n"):
            if statement.strip():
                await db.execute(statement.encode(), values)
    numbers = range(1, len(texts) + 1)
    return SiteData(
        admin,
        {
            "service_id": [f"s{n}" for n in numbers],
            "incident_id": [f"INC-2026-{n:04}" for n in numbers],
            "window_id": [f"00000000-0000-4000-8000-{n:012}" for n in numbers],
            "template_id": [f"00000000-0000-4000-9000-{n:012}" for n in numbers],
            "token_id": [f"00000000-0000-4000-a000-{n:012}" for n in numbers],
            "policy_id": [f"00000000-0000-4000-b000-{n:012}" for n in numbers],
            "correction_id": [f"00000000-0000-4000-c000-{n:012}" for n in numbers],
            "calendar_name": ["Holidays"],
            "user_id": [str(other.user_id)],
            "comment_id": ["1"],
        },
    )


async def session_cookie(user: User, lifetime: timedelta = timedelta(days=7)) -> str:
    """Returns the Cookie header of a logged-in browser."""
    return f"{SESSION}={await signer().issue('browser', user.user_id, user.session_id, lifetime)}"


@asynccontextmanager
async def hostile_api(database_url: str, texts: Sequence[str], **settings: Any) -> AsyncIterator[Site]:
    """Fills the database and runs an API on it."""
    async with await sql.connect(database_url, application="attacker") as db:
        data = await fill(db, texts)
    async with running_api(database_url, **settings) as api:
        yield api, data
