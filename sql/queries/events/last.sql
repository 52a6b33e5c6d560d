-- The number of the last event that was committed and of the first that is still kept; 0 before the first one.
SELECT coalesce(max(seq), 0) AS seq, coalesce(min(seq), 0) AS oldest FROM events
