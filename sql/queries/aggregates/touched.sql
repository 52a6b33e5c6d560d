-- The ranges that are to be refreshed, adjacent ones merged, and the ids of all rows that they are made of.
SELECT lower(span) AS low, upper(span) AS high, ids
FROM (SELECT range_agg(range) AS spans, array_agg(id) AS ids FROM touched_ranges) AS touched
CROSS JOIN LATERAL unnest(spans) AS span
ORDER BY low
