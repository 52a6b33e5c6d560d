-- What is to be refreshed, neighbours merged, and the rows it stands for.
SELECT lower(span) AS low, upper(span) AS high, ids
FROM (SELECT range_agg(range) AS spans, array_agg(id) AS ids FROM touched_ranges) AS touched
CROSS JOIN LATERAL unnest(spans) AS span
ORDER BY low
