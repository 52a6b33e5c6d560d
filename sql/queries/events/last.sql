-- The number of the last event that was committed; 0 before the first one.
SELECT coalesce(max(seq), 0) AS seq FROM events
