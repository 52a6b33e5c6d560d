-- Whether anything has been stored yet: the newest check, if any.
SELECT max(scheduled_at) FROM latest_checks
