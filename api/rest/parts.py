"""The parts of the application, such as the pool and the settings, with their types.

Litestar stores them without types in `app.state`. Only this module reads and writes it.
"""

from typing import Any, Generic, TypeVar

from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import Provide

T = TypeVar("T")


class Part(Generic[T]):
    """A part of type `T`. A route gets it as a parameter of its name (api/rest/injected.py); other code calls `of`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def put(self, state: State, value: T) -> None:
        """Stores the part in the state of an application."""
        state[self.name] = value

    def of(self, connection: ASGIConnection[Any, Any, Any, Any]) -> T:
        """The part of the application that handles the request. Raises KeyError if it is not stored."""
        return self._read(connection.app.state)

    def dependency(self) -> Provide:
        """The part as a dependency of routes."""

        def provide(state: State) -> Any:
            return self._read(state)

        return Provide(provide, sync_to_thread=False)

    def _read(self, state: State) -> T:
        value: T = state[self.name]
        return value
