-- The last thousand events up to a number, in commit order, for clients that come back soon.
SELECT seq, occurred_at, event, room, data, origin, oldest
FROM (
    SELECT seq, occurred_at, event, room, data::text AS data, origin, 0::bigint AS oldest
    FROM events
    WHERE seq <= %(upto)s
    ORDER BY seq DESC
    LIMIT 1000
) AS recent
ORDER BY seq
