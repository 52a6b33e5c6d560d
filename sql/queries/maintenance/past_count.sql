-- The number of past occurrences.
SELECT count(*) AS total FROM maintenance_occurrences WHERE ends_at <= now()
