"""What the APIs that tests start in their own process share: in most tests it is the API that takes the time. Those
that run in a process of their own (tests/e2e, bench) share nothing."""

from copy import copy
from typing import Any

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from litestar import Litestar
from litestar.datastructures import State

from api.routes import Shared


class Routes:
    """Looks at all routes once; each API gets a copy of what came of it, with a state and templates of its own."""

    def __init__(self) -> None:
        self._made: Litestar | None = None

    def __call__(self, *arguments: Any, state: State, template_config: Any, **others: Any) -> Litestar:
        if self._made is None:
            self._made = Litestar(*arguments, state=State(), template_config=template_config, **others)
        copied = copy(self._made)
        copied.state = state
        copied.template_engine = template_config.engine_instance
        return copied


class Compiled(BytecodeCache):
    """Templates that were compiled in this process."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._kept:
            bucket.bytecode_from_string(self._kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key] = bucket.bytecode_to_string()


SHARED = Shared(litestar=Routes(), templates=Compiled())
