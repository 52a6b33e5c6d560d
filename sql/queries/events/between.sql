-- A page of the events after one number and up to another, in commit order: of all rooms, or (`rooms` not NULL) of these. A page ends
-- when its data exceeds `bytes`; the next one begins after its last number. `oldest` is the lowest number in the table.
SELECT seq, occurred_at, event, room, data, origin, (SELECT min(seq) FROM events) AS oldest
FROM (
    SELECT seq, occurred_at, event, room, data, origin, sum(octet_length(data)) OVER (ORDER BY seq) - octet_length(data) AS before
    FROM (
        SELECT seq, occurred_at, event, room, data::text AS data, origin
        FROM events
        WHERE seq > %(after)s
          AND seq <= %(upto)s
          AND (%(rooms)s::text[] IS NULL OR room = ANY (%(rooms)s::text[]) OR (room IS NULL AND %(everyone)s))
        ORDER BY seq
        LIMIT %(limit)s
    ) AS page
) AS measured
WHERE before < %(bytes)s
ORDER BY seq
