"""Pagination of lists. Pages are numbered from 1."""

from typing import Annotated, Any, TypeVar

import msgspec
from litestar.params import QueryParameter

from sql import Pool, database

PageNumber = Annotated[int, QueryParameter(ge=1, le=1_000_000, description="The number of the page, from 1")]
PageSize = Annotated[int, QueryParameter(ge=1, le=100, description="The number of items on a page")]
Row = TypeVar("Row")


class Pagination(msgspec.Struct, rename="camel", frozen=True):
    """The position of a page in a list. `limit` is the size of a page, `total` the number of items on all pages."""

    page: int
    limit: int
    total: int
    total_pages: int

    @classmethod
    def of(cls, page: int, limit: int, total: int) -> "Pagination":
        return cls(page, limit, total, -(-total // limit))


async def read_page(
    pool: Pool, subject: str, row_type: type[Row], page: int, limit: int, **filters: Any
) -> tuple[list[Row], Pagination]:
    """One page of a list: the rows of `<subject>/page.sql`, and the total of `<subject>/count.sql`."""
    total = await database.count(pool, f"{subject}/count", **filters)
    offset = (page - 1) * limit
    rows = await database.rows(pool, f"{subject}/page", row_type, limit=limit, offset=offset, **filters)
    return rows, Pagination.of(page, limit, total)
