"""Adds and changes users over REST."""

from typing import Any

from tests.api.conftest import Api, User

KIM = {"username": "kim", "email": "kim@example.com", "role": "reporter"}


async def add_user(api: Api, admin: User, **fields: Any) -> dict[str, Any]:
    response = await api.http.post("/api/users", json=KIM | fields, headers=admin.headers)
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    return body


async def change_user(api: Api, admin: User, user_id: Any, **fields: Any) -> Any:
    return await api.http.patch(f"/api/users/{user_id}", json=fields, headers=admin.headers)
