"""Finds environment variables that are probably misspelt settings."""

import difflib
import os
import re
from collections.abc import Mapping

from sla_monitor.settings import ENVIRONMENT

NO_LONGER_USED = frozenset({"REDIS_URL", "NODE_ENV", "NEXT_PUBLIC_API_URL"})
"""Variables of older releases."""
_OWN = re.compile(
    "(SLA_MONITOR|RATE_LIMIT|SOCKETS?|SITE|JWT|PROBE|HEALTH_CHECK|CHECK|SPOOL|WATCH_SERVER|WORKER)_[A-Z_]+"
)
"""Names with the prefixes of settings."""
_OTHERS = re.compile("SLA_MONITOR_(PARENT|TEST_.*)|.*_(SERVICE_HOST|SERVICE_PORT.*|PORT|PORT_.*)")
"""Names that this program, its tests, or Kubernetes set."""
MIN_LENGTH = 5
"""Shorter names are similar to too many others."""
MAX_DIFFERENCE = 2
MIN_SIMILARITY = 0.85
"""The difference in length, and the ratio of difflib, up to which a name is taken for a misspelt one."""


def unknown_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """A message for each variable that seems to be meant for this program but is not a setting."""
    known = {variable.name for variable in ENVIRONMENT.values()}
    found = []
    for name in sorted(environ.keys() - known):
        near = [one for one in known if len(one) > MIN_LENGTH and abs(len(one) - len(name)) <= MAX_DIFFERENCE]
        like = difflib.get_close_matches(name, near, 1, MIN_SIMILARITY)
        if name in NO_LONGER_USED:
            found.append(f"{name} is no longer used")
        elif like:
            found.append(f"{name} is not a setting: is {like[0]} meant?")
        elif _OWN.fullmatch(name) and not _OTHERS.fullmatch(name):
            found.append(f"{name} is not a setting")
    return found
