"""Requests pages of services as a browser, and reads their parts."""

import html
import re

from tests.api.conftest import Api, User
from tests.api.hostile_site import session_cookie

HTML = {"accept": "text/html"}


async def shown(api: Api, path: str, user: User | None = None, language: str = "en") -> str:
    """Returns the page as `user` sees it; its status must be 200."""
    response = await api.http.get(path, headers=HTML | {"accept-language": language} | await as_browser(user))
    assert response.status_code == 200, response.text
    return response.text


async def as_browser(user: User | None) -> dict[str, str]:
    return {} if user is None else {"cookie": await session_cookie(user)}


def part(page: str, element_id: str) -> str:
    """Returns the visible text of one element in one line."""
    found = re.search(rf'<(\w+)[^>]* id="{element_id}".*?\n</\1>', page, re.DOTALL)
    assert found is not None
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", found[0]).split()))
