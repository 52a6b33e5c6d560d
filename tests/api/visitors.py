"""Somebody with a browser, without the browser: a cookie, and forms that are sent as the page has them."""

import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import httpx
import psycopg

from api.auth.passwords import Passwords
from api.edge.cookies import SESSION
from tests.api.conftest import Api, Someone, signer


class Form:
    """One form of a page: where it goes, and what stands in its fields."""

    def __init__(self, action: str, method: str) -> None:
        self.action = action
        self.method = method
        self.fields: list[tuple[str, str]] = []
        self.disabled = False

    def values(self, name: str) -> list[str]:
        return [value for field, value in self.fields if field == name]

    def value(self, name: str) -> str:
        """Of a field that is there once."""
        [value] = self.values(name)
        return value


class Page(HTMLParser):
    """An answer, read: its forms as a browser would send them."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.answer = answer
        self.status = answer.status_code
        self.text = answer.text
        self.forms: list[Form] = []
        self._within = False
        self._area: str | None = None
        self._select: str | None = None
        self._options: list[tuple[str, bool]] = []
        if answer.headers.get("content-type", "").startswith("text/html"):
            self.feed(answer.text)

    def form(self, action: str) -> Form:
        [form] = [form for form in self.forms if form.action == action and form.method == "post"]
        return form

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        own = dict(attributes)
        name = own.get("name")
        if tag == "form":
            self._within = True
            self.forms.append(Form(own.get("action") or "", own.get("method") or "get"))
        elif tag == "fieldset" and "disabled" in own and self._within:
            self.forms[-1].disabled = True
        elif tag == "input" and name and self._within:
            if own.get("type") not in ("checkbox", "radio") or "checked" in own:
                self.forms[-1].fields.append((name, own.get("value") or ""))
        elif tag == "textarea" and name:
            self._area = name
            self.forms[-1].fields.append((name, ""))
        elif tag == "select":
            self._select, self._options = name, []
        elif tag == "option":
            self._options.append((own.get("value") or "", "selected" in own))

    def handle_data(self, data: str) -> None:
        if self._area:
            _, text = self.forms[-1].fields.pop()
            self.forms[-1].fields.append((self._area, text + data))

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._area:
            name, text = self.forms[-1].fields.pop()
            self.forms[-1].fields.append((name, text.removeprefix("\n")))
            self._area = None
        elif tag == "select" and self._select and self._options:
            chosen = [value for value, selected in self._options if selected] or [self._options[0][0]]
            self.forms[-1].fields.append((self._select, chosen[0]))
            self._select = None
        elif tag == "form":
            self._within = False


async def session_of(user: Someone, lifetime: timedelta = timedelta(days=1)) -> str:
    """What the cookie of their browser holds."""
    return await signer().issue("browser", user.user_id, user.session_id, lifetime)


async def give_password(db: psycopg.AsyncConnection[Any], user: Someone, password: str) -> None:
    """As open_session() puts a password under another hash: their sessions go on."""
    password_hash = await Passwords().hash(password)
    async with db.transaction():
        await db.execute("SELECT set_config('sla_monitor.same_password', %s, true)", [password_hash])
        await db.execute("UPDATE users SET password_hash = %s WHERE id = %s", [password_hash, user.user_id])


class Visitor:
    """A browser of somebody; None is nobody in particular."""

    def __init__(self, api: Api, cookie: str | None, language: str = "en") -> None:
        self.api = api
        self.cookie = cookie
        self._headers = {"Accept": "text/html", "Accept-Language": language, "Origin": str(api.http.base_url)}

    async def ask(self, method: str, path: str, **options: Any) -> Page:
        headers = self._headers | ({"Cookie": f"{SESSION}={self.cookie}"} if self.cookie else {})
        headers |= options.pop("headers", {})
        answer = await self.api.http.request(method, path, headers=headers, **options)
        self.api.http.cookies.clear()  # whoever keeps one, says so
        return Page(answer)

    async def get(self, path: str, status: int = 200) -> Page:
        page = await self.ask("GET", path)
        assert page.status == status, f"{path}: {page.status} {page.text[:500]}"
        return page

    async def submit(self, form: Form, **filled: Any) -> Page:
        """Sends it with other values in some fields: a list for several, None for none. What is no name in Python goes
        in by `fields`."""
        filled |= filled.pop("fields", {})
        fields = [(name, value) for name, value in form.fields if name not in filled]
        for name, value in filled.items():
            values = value if isinstance(value, list) else [] if value is None else [value]
            fields += [(name, each) for each in values]
        data: dict[str, list[str]] = {}
        for name, value in fields:
            data.setdefault(name, []).append(value)
        return await self.ask("POST", form.action, data=data)

    async def fill(self, path: str, action: str | None = None, **filled: Any) -> Page:
        """Opens the page, fills its form in, and sends it."""
        page = await self.get(path)
        return await self.submit(page.form(action or path), **filled)


async def visitor(api: Api, user: Someone | None, language: str = "en") -> Visitor:
    return Visitor(api, await session_of(user) if user is not None else None, language)


def sent_to(page: Page) -> str:
    """Where a change leads to."""
    assert page.status == 303, f"{page.status} {page.text[:2000]}"
    return page.answer.headers["location"]


def marked(page: Page) -> set[str]:
    """The fields that are marked as wrong. The summary at the top must say something of each of them."""
    assert 'role="alert"' in page.text
    names = set(re.findall(r'id="problem-([^"]+)"', page.text))
    linked = set(re.findall(r'href="#field-([^"]+)"', page.text))
    assert names <= linked, f"{names} are marked, {linked} are linked"
    return names
