"""Fixtures and accounts for attacks over REST."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.conftest import Api, User, add_service, create_user
from tests.api.people import Db

PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
async def no_server_error(api: Api) -> AsyncIterator[None]:
    yield
    assert await api.get("/health") == {"status": "ok"}
    assert await api.get("/ready") == {"status": "ready"}


@pytest.fixture
async def admin(db: Db) -> User:
    await add_service(db, "shop")
    return await create_user(db, "admin")


async def create_and_log_in(api: Api, admin: User, name: str, role: str = "reporter") -> dict[str, Any]:
    """Creates a user with a password, logs in, and returns the response of the login."""
    new = {"username": name, "email": f"{name}@example.com", "password": PASSWORD, "role": role}
    created = await api.http.post("/api/users", json=new, headers=admin.headers)
    assert created.status_code == 201, created.text
    return await log_in(api, name)


async def log_in(api: Api, name: str) -> dict[str, Any]:
    response = await api.http.post("/api/auth/login", json={"username": name, "password": PASSWORD})
    assert response.status_code == 200, response.text
    return dict(response.json())
