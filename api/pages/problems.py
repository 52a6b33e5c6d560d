"""What is wrong with a form or a request, as its page shows it: the text of the code, in the page's language."""

from api.rest.errors import ApiError
from api.rest.problems import FieldProblem
from sla_monitor.texts.languages import Texts
from sla_monitor.texts.problems import text_of

Problem = FieldProblem | ApiError | str
"""A text is one that a page has made itself, in the reader's language already."""


def problem_text(problem: Problem, t: Texts) -> str:
    match problem:
        case FieldProblem():
            return text_of(problem.code, problem.parameters, t)
        case ApiError():
            return text_of(problem.reason, problem.parameters, t)
    return problem
