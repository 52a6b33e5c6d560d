-- Creates the session's table incoming_checks for a prober if it is missing.
SELECT prepare_incoming_checks()
