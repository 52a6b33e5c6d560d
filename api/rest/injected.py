"""What Litestar's dependency injection gives to routes: the pool, the settings and other parts of the application."""

from typing import TypeAlias, TypeVar

from litestar.di import NamedDependency
from litestar.params import SkipValidation

T = TypeVar("T")
Injected: TypeAlias = NamedDependency[SkipValidation[T]]
"""`pool: Injected[Pool]` is what api/app.py provides as `pool`. It is not validated: no client sends it."""
