"""Python imports this first when its folder is in PYTHONPATH. Programs that are started with an environment of their
own, as PostgreSQL is, get the date of this process too."""

import os
import subprocess
from typing import Any

HANDED_ON = ("LD_PRELOAD", "CLOCK_FILE")
_plain: Any = subprocess.Popen.__init__


def _init(self: Any, *arguments: Any, env: Any = None, **options: Any) -> None:
    handed_on = {name: os.environ[name] for name in HANDED_ON if name in os.environ}
    _plain(self, *arguments, env=env if env is None else {**handed_on, **env}, **options)


subprocess.Popen.__init__ = _init  # type: ignore[method-assign]
