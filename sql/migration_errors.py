"""The errors of a migration."""

import psycopg

from sla_monitor.settings import StartError


class MigrationError(StartError):
    """The database cannot be used. The message is one line that says why."""


class NotNowError(MigrationError):
    """The schema cannot be migrated now. A later attempt may succeed without any change of the settings."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class UnreachableError(NotNowError):
    """The database cannot be reached."""

    @classmethod
    def of(cls, error: psycopg.OperationalError) -> "UnreachableError":
        """The error for a failed connection, with the first line of its message."""
        reason = str(error).strip().splitlines()[0]  # the other lines of libpq are only suggestions
        return cls(f"cannot reach the database ({reason}): check DATABASE_URL")
