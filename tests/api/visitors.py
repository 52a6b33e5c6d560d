"""A browser without JavaScript: it has a session cookie and submits the forms of pages with their fields."""

import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import httpx
import psycopg

from api.auth.passwords import Passwords
from api.edge.cookies import SESSION
from sla_monitor.texts.languages import Language
from tests.api.conftest import Api, User, signer


class Form:
    """A form of a page: its action, its method and the values of its fields."""

    def __init__(self, action: str, method: str) -> None:
        self.action = action
        self.method = method
        self.fields: list[tuple[str, str]] = []
        self.disabled = False

    def values(self, name: str) -> list[str]:
        return [value for field, value in self.fields if field == name]

    def value(self, name: str) -> str:
        """Returns the value of a field that occurs once."""
        [value] = self.values(name)
        return value


class Page(HTMLParser):
    """A response and its forms, with the values that a browser would submit."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__()
        self.response = response
        self.status = response.status_code
        self.text = response.text
        self.forms: list[Form] = []
        self._within = False
        self._area: str | None = None
        self._select: str | None = None
        self._options: list[tuple[str, bool]] = []
        if response.headers.get("content-type", "").startswith("text/html"):
            self.feed(response.text)

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


async def session_cookie_value(user: User, lifetime: timedelta = timedelta(days=1)) -> str:
    """Returns the value of the session cookie."""
    return await signer().issue("browser", user.user_id, user.session_id, lifetime)


async def set_password(db: psycopg.AsyncConnection[Any], user: User, password: str) -> None:
    """Sets a password and keeps the sessions of the user, as open_session() does when it renews a hash."""
    password_hash = await Passwords().hash(password)
    async with db.transaction():
        await db.execute("SELECT set_config('sla_monitor.same_password', %s, true)", [password_hash])
        await db.execute("UPDATE users SET password_hash = %s WHERE id = %s", [password_hash, user.user_id])


class Visitor:
    """The browser of a user, or of an anonymous visitor if `cookie` is None."""

    def __init__(self, api: Api, cookie: str | None, language: str = "en") -> None:
        self.api = api
        self.cookie = cookie
        self._headers = {"Accept": "text/html", "Accept-Language": language, "Origin": str(api.http.base_url)}

    async def request(self, method: str, path: str, **options: Any) -> Page:
        headers = self._headers | ({"Cookie": f"{SESSION}={self.cookie}"} if self.cookie else {})
        headers |= options.pop("headers", {})
        response = await self.api.http.request(method, path, headers=headers, **options)
        self.api.http.cookies.clear()  # cookies are kept in self.cookie only
        return Page(response)

    async def get(self, path: str, status: int = 200) -> Page:
        page = await self.request("GET", path)
        assert page.status == status, f"{path}: {page.status} {page.text[:500]}"
        return page

    async def submit(self, form: Form, **filled: Any) -> Page:
        """Submits the form with the values `filled` instead of those of the page. A list is several values; None leaves
        the field out. `fields` is for names that are not Python identifiers."""
        filled |= filled.pop("fields", {})
        fields = [(name, value) for name, value in form.fields if name not in filled]
        for name, value in filled.items():
            values = value if isinstance(value, list) else [] if value is None else [value]
            fields += [(name, each) for each in values]
        data: dict[str, list[str]] = {}
        for name, value in fields:
            data.setdefault(name, []).append(value)
        return await self.request("POST", form.action, data=data)

    async def fill(self, path: str, action: str | None = None, **filled: Any) -> Page:
        """Opens the page, fills in its form and submits it."""
        page = await self.get(path)
        return await self.submit(page.form(action or path), **filled)


async def visitor(api: Api, user: User | None, language: str = "en") -> Visitor:
    return Visitor(api, await session_cookie_value(user) if user is not None else None, language)


def redirect_target(page: Page) -> str:
    """Returns the location of a redirect after a change."""
    assert page.status == 303, f"{page.status} {page.text[:2000]}"
    return page.response.headers["location"]


def invalid_fields(page: Page) -> set[str]:
    """Returns the fields that are marked as invalid. The summary at the top must have a link to each of them."""
    assert 'role="alert"' in page.text
    names = set(re.findall(r'id="problem-([^"]+)"', page.text))
    linked = set(re.findall(r'href="#field-([^"]+)"', page.text))
    assert names <= linked, f"{names} are marked, {linked} are linked"
    return names


BROWSER = {"Accept": "text/html", "Accept-Language": "en"}


async def html(api: Api, language: Language = "en", path: str = "/") -> str:
    response = await api.http.get(path, headers=BROWSER | {"Accept-Language": language})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/html")
    return response.text
