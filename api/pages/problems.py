"""What REST finds wrong, as forms say it: REST speaks to programs, in English and by its names of fields.

A message that is not listed here is shown as REST says it.
"""

import re
from collections.abc import Mapping

from sla_monitor.texts.languages import Texts

KEYS: Mapping[str, str] = {
    r"is required|must not be empty|"
    r"Expected `(?:str|array)` of length >= 1|Expected `str` matching regex '\\+S'": "empty",
    r"Expected `str` of length >= (?P<least>\d+)": "short",
    r"(?:Expected `str` of length <= |must not be longer than )(?P<most>\d+)(?: characters)?": "long",
    r"Expected `array` of length <= (?P<most>\d+)": "many",
    r"Expected `int` >= (?P<least>-?\d+)": "small",
    r"Expected `int` <= (?P<most>-?\d+)": "large",
    r"Expected `int.*`, got `.*`": "number",
    r"Invalid enum value '.*'": "choice",
    r"must be small letters, digits and hyphens|Expected `str` matching regex '\^\[a-z0-9\].*'": "slug",
    r"is not a user name|Expected `str` matching regex '\^\[A-Za-z0-9\].*'": "username",
    r"is not an e-mail address|Expected `str` matching regex '\^\[\^@.*'": "email",
    r"is taken": "taken",
    r"is reserved": "reserved",
    r"is wrong|is not a value that can be stored|A value cannot be stored": "wrong",
    r"is not a service": "service",
    r"must not repeat a service|is there twice|must not repeat a tag": "twice",
    r"must not contain (?:control characters|NUL)": "characters",
    r"must be an absolute http:// or https:// URL|must begin with http:// or https://": "url",
    r"not a valid host name": "host_name",
    r"is not a cron line": "cron",
    r"is not a known time zone": "time_zone",
    r"has an escape that is not known": "escape",
    r"must not contain credentials; .*": "credentials",
    r"must not be longer than intervalSeconds": "than_interval",
    r"must not be longer than timeoutMs": "than_timeout",
    r"needs a jsonPath": "json_path",
    r"cannot be in a response to HEAD, which has no body": "head_body",
    r"cannot be in a response with these expectedStatusCodes, which has no body": "no_body",
    r"is not a JSON path such as .*": "json_path_form",
    r"must not have more than (?P<most>\d+) steps": "json_path_steps",
    r"(?P<name>[\w-]+) is set by the prober itself": "header_set",
    r"a name has a character that HTTP does not allow": "header_name",
    r"the value of (?P<name>[\w-]+) must be printable ASCII on one line": "header_value",
    r"must not be the user name or the e-mail": "name",
    r"must be after startsAt": "after_start",
    r"must be at most (?P<days>\d+) days after startsAt": "days_long",
    r"must be the first occurrence of rrule, in .*": "first_occurrence",
    r"must not lie after the next occurrence has begun": "overlap",
    r"must not be more than a day ago or five years ahead|must lie between \d+ and \d+": "far",
    r"(?P<rule>needs FREQ, .*|must be NAME=VALUE parts .*|must not have both COUNT and UNTIL|.{1,20} is not supported|"
    r"[A-Z]+ (?:does not go|goes|needs|must be|must not be) .*|"
    r"a number in BYDAY goes .*|a day of the week is .*)": "rule",
    r"must be in the future": "future",
    r"must lie in the next ten years": "ten_years",
    r"must be a time with its zone, such as .*": "time",
    r"a (?:day|time) (?:such as|from) .*": "day",
    r"This is the last active admin: make somebody else one first": "last_admin",
    r"This service is declared in (?P<file>.+); change it there": "declared",
}
_PATTERNS = tuple((re.compile(pattern), key) for pattern, key in KEYS.items())


def told(message: str, t: Texts) -> str:
    """`message` in the reader's language."""
    for pattern, key in _PATTERNS:
        if match := pattern.fullmatch(message):
            return t(f"problems.{key}", **match.groupdict())
    return message
