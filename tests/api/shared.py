"""Routes and compiled templates, shared by the APIs that run in the process of the tests: creating them would take most
of the time of most tests. APIs in processes of their own (tests/e2e, bench) share nothing."""

from copy import copy
from typing import Any

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from litestar import Litestar
from litestar.datastructures import State

from api.routes import Shared


class Routes:
    """Builds the Litestar application once. Each API gets a copy with its own state and templates."""

    def __init__(self) -> None:
        self._built: Litestar | None = None

    def __call__(self, *arguments: Any, state: State, template_config: Any, **others: Any) -> Litestar:
        if self._built is None:
            self._built = Litestar(*arguments, state=State(), template_config=template_config, **others)
        copied = copy(self._built)
        copied.state = state
        copied.template_engine = template_config.engine_instance
        return copied


class Compiled(BytecodeCache):
    """The bytecode of templates that this process has compiled."""

    def __init__(self) -> None:
        self._bytecode: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._bytecode:
            bucket.bytecode_from_string(self._bytecode[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._bytecode[bucket.key] = bucket.bytecode_to_string()


SHARED = Shared(litestar=Routes(), templates=Compiled())
