-- The scheduled time of the newest check that finished after the start of the program, NULL if none has been stored
-- yet.
SELECT max(scheduled_at) FROM latest_checks WHERE finished_at >= %(started)s
