"""Pagination of lists; pages are numbered from 1."""

from typing import Annotated

import msgspec
from litestar.params import QueryParameter

PageNumber = Annotated[int, QueryParameter(ge=1, le=1_000_000)]
PageSize = Annotated[int, QueryParameter(ge=1, le=100)]


class Pagination(msgspec.Struct, rename="camel", frozen=True):
    """The position of a page in a list. `limit` is the size of a page, `total` the number of items on all pages."""

    page: int
    limit: int
    total: int
    total_pages: int

    @classmethod
    def of(cls, page: int, limit: int, total: int) -> "Pagination":
        return cls(page, limit, total, -(-total // limit))
