"""The messages of clients, the same for both transports, and the validation of their data."""

from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec

from api.incidents.fields import Remark, data_problem
from api.rest.errors import ApiError, invalid
from api.rest.problems import PROBLEM, FieldProblem
from api.rest.texts import text_problems, uuid_or_none

IncidentId = Annotated[str, msgspec.Meta(max_length=50, pattern=r"^[^\x00]*$", extra={PROBLEM: "nul"})]


class RoomName(msgspec.Struct):
    """`join-room` and `leave-room`."""

    room: Annotated[str, msgspec.Meta(max_length=100)]


class Editing(msgspec.Struct, rename="camel"):
    """`incident-editing`."""

    incident_id: IncidentId
    is_editing: bool
    field: Annotated[str, msgspec.Meta(max_length=100, pattern=r"^[^\x00]*$", extra={PROBLEM: "nul"})] | None = None


class AutoSave(msgspec.Struct, rename="camel"):
    """`auto-save`. `base_version`: the version of the incident that the draft is based on."""

    incident_id: IncidentId
    data: dict[str, Any]
    base_version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None


class CommentText(msgspec.Struct):
    """A comment as an object. Front ends use different names for the text; the first one that is present counts."""

    text: Remark | None = None
    content: Remark | None = None
    message: Remark | None = None
    body: Remark | None = None
    public: bool = False


class Comment(msgspec.Struct, rename="camel"):
    """`incident-comment`."""

    incident_id: IncidentId
    comment: Remark | CommentText

    def text_and_visibility(self) -> tuple[str, bool]:
        """The text, and whether the comment is public. Raises 400 without a text."""
        comment = CommentText(self.comment) if isinstance(self.comment, str) else self.comment
        text = comment.text or comment.content or comment.message or comment.body
        if text is None:
            raise invalid(FieldProblem.of("comment", "comment"))
        if problems := text_problems("comment", text):
            raise invalid(*problems)
        return text, comment.public


class SentComment(msgspec.Struct):
    """The comment with all its fields, which are sent to other clients unchanged."""

    comment: str | dict[str, Any]

    def fields(self) -> dict[str, Any]:
        """The fields of a comment object. An `id` that is neither text nor number is removed. Raises 400 if the
        fields are too large."""
        if isinstance(self.comment, str):
            return {}
        fields = dict(self.comment)
        if "id" in fields and (isinstance(fields["id"], bool) or not isinstance(fields["id"], (str, int, float))):
            del fields["id"]
        if (problem := data_problem(fields, "comment")) is not None:
            raise invalid(problem)
        return fields


class TemplateName(msgspec.Struct, rename="camel"):
    """`join-template` and `leave-template`."""

    template_id: Annotated[str, msgspec.Meta(max_length=50)]

    def uuid(self) -> UUID:
        """The id of the template. Raises 404 for a text that is not a UUID."""
        if (template_id := uuid_or_none(self.template_id)) is None:
            raise no_such_template()
        return template_id


class TemplateUpdate(TemplateName, rename="camel"):
    """`template-update`."""

    data: Any


class Reply(NamedTuple):
    """The reply to a message. `/ws` sends it as an event, Socket.IO as an acknowledgement without the event's name."""

    event: str
    data: dict[str, Any]


def no_such_template() -> ApiError:
    return ApiError(404, "unknown_template_id")
