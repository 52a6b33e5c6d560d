"""ETag, If-Match and If-None-Match. A tag consists of the version of the object and a hash of the response.

If-None-Match compares both, since two users may see different parts of one version. If-Match compares the version only.
"""

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import MediaType, Response
from litestar.openapi import ResponseSpec
from litestar.params import HeaderParameter

from api.rest.errors import invalid
from api.rest.problems import FieldProblem

_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_VERSION = re.compile(r"([0-9]{1,9})(?:-[0-9a-f]+)?")
MAX_HEADER_CHARACTERS = 1000
Content = TypeVar("Content")
NOT_MODIFIED = {304: ResponseSpec(None, description="The client's copy is current")}
IfMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match",
        description="The ETag of the version that this change is based on; 412 if there is a newer version",
        schema_extra={"pattern": r'^(\*|(W/)?"[!#-~]*"(, *(W/)?"[!#-~]*")*)$'},
    ),
]
IfNoneMatch = Annotated[
    str | None,
    HeaderParameter(name="If-None-Match", description="The ETag of the client's copy; 304 if it is current"),
]


def etag(version: int, content: Any) -> str:
    """The ETag of `content`, such as `"3-9f86d081884c7d65"`."""
    return f'"{version}-{blake2b(msgspec.json.encode(content), digest_size=8).hexdigest()}"'


def allows_version(if_match: str | None, version: int) -> bool:
    """Whether If-Match allows a change of `version`. A missing header allows every change.

    A tag in another format than `etag` matches nothing. Raises 400 for a header that is not a list of tags. Weak tags
    are accepted, since proxies that compress make tags weak.
    """
    if if_match is None or if_match.strip() == "*":
        return True
    tags = _tags(if_match)
    if not tags:
        raise invalid(FieldProblem.of("If-Match", "etag"))
    known = (_VERSION.fullmatch(tag) for tag in tags)
    return any(match is not None and int(match[1]) == version for match in known)


def tagged(
    content: Content, version: int, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response[Content]:
    """The response with `content` and its ETag."""
    return Response(content, status_code=status, headers={"ETag": etag(version, content), **(headers or {})})


def unless_known(response: Response[Content], if_none_match: str | None) -> Response[Any]:
    """The response, or a 304 if If-None-Match names its ETag."""
    if if_none_match is None:
        return response
    if if_none_match.strip() == "*" or response.headers["ETag"].strip('"') in _tags(if_none_match):
        # The media type of the route need not be able to encode None. A 304 is sent without a Content-Type.
        return Response(None, status_code=304, headers=response.headers, media_type=MediaType.JSON)
    return response


def outdated(conflict: type[msgspec.Struct]) -> dict[int, ResponseSpec]:
    """The 412 of a route with If-Match, for the OpenAPI document. `conflict`: the body."""
    description = "Another user has saved the object since the version of `If-Match`"
    return {412: ResponseSpec(conflict, description=description, generate_examples=False)}


def _tags(header: str) -> list[str]:
    """The tags of a header, without their quotes; an empty list if one of them is invalid."""
    if len(header) > MAX_HEADER_CHARACTERS:
        return []
    found = [_TAG.fullmatch(item.strip()) for item in header.split(",")]
    return [match[1] for match in found if match is not None] if all(found) else []
