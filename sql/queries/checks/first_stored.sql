-- Whether anything has been stored since this start: the newest check that was made after it, if any.
SELECT max(scheduled_at) FROM latest_checks WHERE finished_at >= %(started)s
