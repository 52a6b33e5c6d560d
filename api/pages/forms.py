"""Forms of pages: their fields, and the token of the session."""

import hmac
from typing import Any
from urllib.parse import parse_qsl

from litestar import Request
from litestar.datastructures import FormMultiDict
from multipart import MultipartSegment, PushMultipartParser, parse_options_header

from api.auth.csrf import form_token
from api.auth.requests import ApiRequest
from api.rest.errors import ApiError, invalid
from api.rest.problems import FieldProblem
from api.rest.texts import text_problems

MAX_FIELDS = 1200
URLENCODED = "application/x-www-form-urlencoded"
TOKEN = "csrf"  # noqa: S105  # the name of the field


class Form:
    """The fields of a form by name. A missing field is empty."""

    def __init__(self, fields: FormMultiDict) -> None:
        self._fields = fields

    def text(self, name: str) -> str:
        """The stripped value, with `\\n` as line breaks; browsers send `\\r\\n`."""
        value = self._fields.get(name, "")
        return value.replace("\r\n", "\n").strip() if isinstance(value, str) else ""

    def secret(self, name: str) -> str:
        """The value as it was typed: a password may begin with a space."""
        value = self._fields.get(name, "")
        return value if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        """All values of a field with several values."""
        return [value for value in self._fields.getall(name, []) if isinstance(value, str) and value]

    def flag(self, name: str) -> bool:
        """Whether a check box is checked."""
        return bool(self.text(name))

    def optional(self, name: str) -> str | None:
        """The value, or None if it is empty."""
        return self.text(name) or None

    def number(self, name: str) -> int | str | None:
        """A whole number. Other texts are returned unchanged, for the validation of the API to refuse."""
        text = self.text(name)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else (text or None)

    def values(self) -> dict[str, str]:
        """All values, to fill in the form again."""
        return {name: value for name, value in self._fields.multi_items() if isinstance(value, str) and name != TOKEN}


async def read_form(request: ApiRequest) -> Form:
    """The form in the body. Raises 415 for another type, 400 for an invalid form, 403 for a wrong token."""
    form = Form(FormMultiDict(await fields_of(request)))
    expected = await form_token(request)
    if expected and not hmac.compare_digest(form.text(TOKEN).encode(), expected.encode()):
        raise ApiError(403, "foreign_form")
    return form


async def fields_of(request: Request[Any, Any, Any]) -> list[tuple[str, str]]:
    """The fields of the form in the body, without a check of its token. Raises 415 for another type, 400 for an invalid
    form."""
    content_type = request.headers.get("content-type", "")
    require_form(content_type)
    return form_fields(await request.body(), content_type)


def require_form(content_type: str) -> str:
    """The type of the form. Raises 415 for another type."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in (URLENCODED, "multipart/form-data"):
        raise ApiError(415, "not_a_form")
    return kind


def form_fields(body: bytes, content_type: str) -> list[tuple[str, str]]:
    """The fields of a form by its body. Raises as `fields_of` does."""
    kind = require_form(content_type)
    try:
        fields = _urlencoded(body) if kind == URLENCODED else _parts(body, content_type)
    except ValueError:  # the parsers' own errors are such
        raise invalid(FieldProblem.of("form", "not_readable")) from None
    for name, value in fields:
        if wrong := text_problems(name, value):
            raise invalid(*wrong)
    return fields


def _urlencoded(body: bytes) -> list[tuple[str, str]]:
    return parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)


def _parts(body: bytes, content_type: str) -> list[tuple[str, str]]:
    """The texts of a multipart form, without files. The encoding is always UTF-8: a part may name another one, and some
    of Python's decoders take minutes for malicious input."""
    _, options = parse_options_header(content_type)
    fields: list[tuple[str, str]] = []
    part: MultipartSegment | None = None
    content = bytearray()
    with PushMultipartParser(options.get("boundary", ""), max_segment_count=MAX_FIELDS) as parser:
        for found in parser.parse(body):
            if isinstance(found, MultipartSegment):
                part, content = found, bytearray()
            elif found:
                content += found
            elif part is not None and not part.filename:
                fields.append((part.name, content.decode()))
        parser.close()
    return fields
