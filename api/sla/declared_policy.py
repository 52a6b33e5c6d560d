"""A policy of a file, and where in the file its fields are."""

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from api.rest.errors import ApiError
from api.rest.problems import FieldProblem
from api.rest.violations import WHOLE
from api.sla.policy_fields import NewPolicy
from api.sla.policy_problems import terms_problems
from api.sla.policy_terms import DEFAULTS
from api.sla.subjects import subject_problems

_ROOT = re.compile("[^.[]*")


class DeclaredPolicy(msgspec.Struct, frozen=True):
    """`place`: the table or document, such as `policies[0]`. `paths`: where fields are in it, if not under their own
    name."""

    place: str
    policy: NewPolicy
    paths: Mapping[str, str] = {}

    def problems(self) -> list[str]:
        """The problems of the policy that its types cannot express, each with its path in the file."""
        policy = self.policy
        values = DEFAULTS | {"time_zone": "UTC"} | policy.given()  # the default zone is in the database, and valid
        return located(subject_problems(policy.scope, policy.subject) + terms_problems(values), self.place, self.paths)

    def refused(self, error: ApiError) -> list[str]:
        """The reasons of an error of the stored data, each with its path in the file."""
        if error.details:
            return located(error.details, self.place, self.paths)
        return [f"{self.place}: {error}"]


def located(problems: Iterable[FieldProblem], place: str, paths: Mapping[str, str] = {}) -> list[str]:
    """The texts of problems, each with its path in the file."""
    texts = []
    for problem in problems:
        if problem.field == WHOLE:
            texts.append(f"{place}: {problem.message}")
            continue
        match = _ROOT.match(problem.field)
        root = match[0] if match else ""
        texts.append(f"{place}.{paths.get(root, root)}{problem.field[len(root) :]}: {problem.message}")
    return texts


def repeated(declared: Sequence[DeclaredPolicy]) -> list[str]:
    """The problems of policies whose subject an earlier one has."""
    seen: dict[tuple[str, str | None], str] = {}
    found = []
    for one in declared:
        first = seen.setdefault((one.policy.scope, one.policy.subject), one.place)
        if first != one.place:
            field = "scope" if one.policy.subject is None else "subject"
            found.append(f"{one.place}.{one.paths.get(field, field)}: {first} is for the same subject")
    return found
