"""The type of parameters that Litestar's dependency injection provides: the pool, the settings and others."""

from typing import TypeAlias, TypeVar

from litestar.di import NamedDependency
from litestar.params import SkipValidation

T = TypeVar("T")
Injected: TypeAlias = NamedDependency[SkipValidation[T]]
"""`pool: Injected[Pool]` is the dependency `pool` of api/routes.py. It is not validated, since no client sends it."""
