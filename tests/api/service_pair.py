"""One public and one private service."""

import pytest

from tests.api.conftest import add_service
from tests.api.people import Db


@pytest.fixture(autouse=True)
async def services(db: Db) -> None:
    await add_service(db, "shop")
    await add_service(db, "vault", public=False)
