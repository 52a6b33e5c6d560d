"""Error codes: what can be wrong with a request, by field or as a whole.

A code has parameters and a text in each language (table `problems` of sla_monitor/texts/). REST and sockets send the
code, its parameters and the English text; pages show the text of their language. docs/errors.md lists all codes.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from sla_monitor.texts.languages import DEFAULT, Texts, texts

ProblemCode = Literal[
    # the value of a field
    "required",
    "unknown_field",
    "invalid",
    "empty",
    "not_text",
    "not_number",
    "not_boolean",
    "not_list",
    "not_object",
    "not_json",
    "not_readable",
    "too_short",
    "too_long",
    "too_few",
    "too_many",
    "too_small",
    "too_large",
    "too_many_bytes",
    "nested_too_deeply",
    "choice",
    "choices",
    "pattern",
    "control_characters",
    "nul",
    "repeated",
    "taken",
    "reserved",
    "not_storable",
    "slug",
    "service_ids",
    "unknown_service",
    "unknown_template",
    "comment",
    "idempotency_key",
    "etag",
    "database_silent",
    "database_read_only",
    "feed_not_listening",
    # services
    "url",
    "credentials",
    "longer_than_interval",
    "longer_than_timeout",
    "json_path",
    "json_path_steps",
    "json_path_missing",
    "head_has_no_body",
    "status_has_no_body",
    "headers_too_large",
    "header_name",
    "header_set",
    "header_value",
    "probe_denied",
    # accounts
    "username",
    "email",
    "wrong_password",
    "password_is_name",
    "ten_years",
    # times
    "time",
    "day",
    "day_or_time",
    "month",
    "years",
    "time_zone",
    "before_to",
    "period",
    "step_points",
    "step_window",
    "step_multiple",
    # maintenance
    "after_start",
    "days_long",
    "planning_range",
    "future",
    "first_occurrence",
    "overlapping",
    "rule_parts",
    "rule_frequency",
    "rule_part",
    "rule_count_and_until",
    "rule_month_days",
    "rule_year_days",
    "rule_numbered_days",
    "rule_positions",
    "rule_number",
    "rule_zero",
    "rule_weekday",
    "rule_days",
    "rule_until",
    "rule_time",
    # reasons of a whole request, by no field
    "invalid_request",
    "client_left",
    "not_found",
    "method_not_allowed",
    "not_acceptable",
    "body_too_large",
    "media_type",
    "not_a_form",
    "database_away",
    "server_error",
    "too_slow",
    "not_ready_yet",
    "outdated",
    "log_in",
    "logged_out",
    "wrong_login",
    "bad_token",
    "token_expired",
    "bad_api_token",
    "bearer",
    "one_authorization",
    "role",
    "role_of_token",
    "people_only",
    "foreign_page",
    "foreign_origin",
    "foreign_form",
    "unknown_host",
    "one_host",
    "too_many_requests",
    "too_many_connections",
    "too_many_logins",
    "unknown_service_id",
    "unknown_user",
    "unknown_token",
    "unknown_incident",
    "unknown_comment",
    "unknown_template_id",
    "unknown_window",
    "no_draft",
    "service_exists",
    "template_exists",
    "token_exists",
    "user_exists",
    "last_admin",
    "declared",
    "too_many_tokens",
    "timeline_full",
    "incident_saved",
    "key_reused",
    "key_in_use",
    "key_of_deleted",
    # sockets
    "not_a_handshake",
    "websocket_only",
    "too_many_sockets",
    "too_many_sockets_of_address",
    "too_many_sockets_of_user",
    "other_users_socket",
    "unknown_event",
    "unknown_room",
    "too_many_rooms",
    "drafts_too_often",
    "changes_too_often",
    "event_data",
    "message_form",
    "send_token",
    "send_auth",
]
Parameter = int | str | Sequence[str]
"""A limit, a name, or the values to choose from."""


class FieldProblem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong with one field of a request: `intervalSeconds`, `tags[2]`, `body` for the whole of it. `message` is
    the English text of `code` with its `parameters`."""

    field: str
    message: str
    code: ProblemCode
    parameters: dict[str, Parameter] = {}

    @classmethod
    def of(cls, field: str, code: ProblemCode, **parameters: Parameter) -> "FieldProblem":
        return cls(field, text_of(code, parameters), code, parameters)


def text_of(code: ProblemCode, parameters: Mapping[str, Parameter], t: Texts | None = None) -> str:
    """The text of a code, in English unless `t` is of another language. Numbers are written without separators."""
    shown = {name: _shown(value) for name, value in parameters.items()}
    return (t or texts(DEFAULT, "UTC"))(f"problems.{code}", **shown)


def camel(name: str) -> str:
    """`start_date` -> `startDate`, `from_` -> `from`."""
    head, *tail = name.strip("_").split("_")
    return head + "".join(part.capitalize() for part in tail)


def _shown(value: Parameter) -> str:
    return str(value) if isinstance(value, int | str) else ", ".join(value)
