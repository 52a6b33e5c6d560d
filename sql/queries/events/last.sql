-- The highest number of a committed event and the lowest number in the table; 0 before the first event.
SELECT coalesce(max(seq), 0) AS seq, coalesce(min(seq), 0) AS oldest FROM events
