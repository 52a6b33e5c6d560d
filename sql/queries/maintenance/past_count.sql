-- How much of it there is.
SELECT count(*) AS total FROM maintenance_occurrences WHERE ends_at <= now()
