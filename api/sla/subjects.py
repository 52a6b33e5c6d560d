"""What a policy or a correction is for: a service, the services with a tag or of a group, or all services."""

from typing import Annotated, Literal

from msgspec import Meta

from api.rest.problems import FieldProblem
from api.rest.texts import line_problems

Scope = Literal["service", "tag", "group", "everything"]
Subject = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        description="The id of a service, a tag, or the name of a group; null for everything",
    ),
]


def subject_problems(scope: Scope, subject: str | None) -> list[FieldProblem]:
    """The problems of a subject, in itself and with the scope."""
    found = line_problems("subject", subject)
    if scope == "everything" and subject is not None:
        found.append(FieldProblem.of("subject", "subject_of_everything"))
    elif scope != "everything" and subject is None:
        found.append(FieldProblem.of("subject", "required"))
    return found
