-- The last events up to a number, in commit order: 1000, or as many as `bytes` allow.
SELECT seq, occurred_at, event, room, data, origin, 0::bigint AS oldest
FROM (
    SELECT seq, occurred_at, event, room, data, origin, sum(octet_length(data)) OVER (ORDER BY seq DESC) AS size
    FROM (
        SELECT seq, occurred_at, event, room, data::text AS data, origin
        FROM events
        WHERE seq <= %(upto)s
        ORDER BY seq DESC
        LIMIT 1000
    ) AS last
) AS recent
WHERE size <= %(bytes)s
ORDER BY seq
