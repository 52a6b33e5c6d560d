"""Ids and names of services."""

import re
from typing import Annotated

import msgspec
from litestar.params import PathParameter
from msgspec import Meta

from api.rest.problems import PROBLEM
from sla_monitor.settings.values import SLUG

Slug = Annotated[
    str,
    Meta(
        pattern=f"^{SLUG}$",
        max_length=50,
        description="Lower-case letters, digits and hyphens",
        extra={PROBLEM: "slug"},
    ),
]


ServicePath = Annotated[str, PathParameter(description="The id of a service")]


class ServiceName(msgspec.Struct, frozen=True):
    """The public fields of a service."""

    id: str
    name: str


ALL_SYSTEMS = ServiceName("all-systems", "All Systems")


def is_slug(text: str) -> bool:
    return re.fullmatch(SLUG, text) is not None
