-- Creates the session's table incoming_checks if it is missing.
SELECT make_incoming_checks()
