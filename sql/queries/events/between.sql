-- The events after one number and up to another, in commit order; `oldest` is the first number still kept.
SELECT seq, occurred_at, event, room, data::text AS data, origin, (SELECT min(seq) FROM events) AS oldest
FROM events
WHERE seq > %(after)s AND seq <= %(upto)s
ORDER BY seq
LIMIT %(limit)s
