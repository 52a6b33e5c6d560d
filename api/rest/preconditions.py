"""ETag, If-Match, If-None-Match: an entity's tag is its version and a hash of what was answered.

The hash is for reading, since two people may see different parts of one version. For saving the version alone counts.
"""

import re
from hashlib import blake2b
from typing import Annotated, Any

import msgspec
from litestar import Response
from litestar.openapi import ResponseSpec
from litestar.params import HeaderParameter

from api.rest.errors import invalid
from api.rest.problems import FieldProblem

_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_VERSION = re.compile(r"([0-9]{1,9})(?:-[0-9a-f]+)?")
MAX_HEADER_CHARACTERS = 1000
IfMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match",
        description="the ETag this change is based on: 412 where that is out of date",
        schema_extra={"pattern": r'^(\*|(W/)?"[!#-~]*"(, *(W/)?"[!#-~]*")*)$'},
    ),
]
IfNoneMatch = Annotated[
    str | None,
    HeaderParameter(name="If-None-Match", description="the ETag that is known: 304 where nothing has changed"),
]


NOT_MODIFIED = {304: ResponseSpec(None, description="Nothing has changed since `If-None-Match`")}


def etag(version: int, answer: Any) -> str:
    """`"3-9f86d081884c7d65"`."""
    return f'"{version}-{blake2b(msgspec.json.encode(answer), digest_size=8).hexdigest()}"'


def allows_version(if_match: str | None, version: int) -> bool:
    """Whether a change that is based on what If-Match says may be made to `version`.

    Without the header always. A tag that is none of ours matches nothing; what is no tag at all is a 400. Weak tags
    count as strong ones: proxies that compress make them weak.
    """
    if if_match is None or if_match.strip() == "*":
        return True
    tags = _tags(if_match)
    if not tags:
        raise invalid(FieldProblem.of("If-Match", "etag"))
    known = (_VERSION.fullmatch(tag) for tag in tags)
    return any(match is not None and int(match[1]) == version for match in known)


def is_known(if_none_match: str | None, tag: str) -> bool:
    """Whether the client has this answer already."""
    return if_none_match is not None and (if_none_match.strip() == "*" or tag.strip('"') in _tags(if_none_match))


def not_modified(answer: Response[Any]) -> Response[Any]:
    """In place of `answer`, to who has it."""
    return Response(None, status_code=304, headers=answer.headers)


def _tags(header: str) -> list[str]:
    """What stands between the quotes of each tag of a list; nothing where one of them is no tag."""
    if len(header) > MAX_HEADER_CHARACTERS:
        return []
    found = [_TAG.fullmatch(item.strip()) for item in header.split(",")]
    return [match[1] for match in found if match is not None] if all(found) else []
