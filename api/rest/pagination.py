"""Long lists in pages, counted from 1."""

from typing import Annotated

import msgspec
from litestar.params import QueryParameter

PageNumber = Annotated[int, QueryParameter(ge=1, le=1_000_000)]
PageSize = Annotated[int, QueryParameter(ge=1, le=100)]


class Pagination(msgspec.Struct, rename="camel", frozen=True):
    """Which page this is, of how many; `total` counts what is listed on all of them."""

    page: int
    limit: int
    total: int
    total_pages: int

    @classmethod
    def of(cls, page: int, limit: int, total: int) -> "Pagination":
        return cls(page, limit, total, -(-total // limit))
