"""The type of a route's parameter that is a part of the application, such as the pool (api/rest/parts.py)."""

from typing import TypeAlias, TypeVar

from litestar.di import NamedDependency
from litestar.params import SkipValidation

T = TypeVar("T")
Injected: TypeAlias = NamedDependency[SkipValidation[T]]
"""`pool: Injected[Pool]` is the part named `pool` of `DEPENDENCIES` in api/routes.py. It is not validated: it does not
come from the client."""
