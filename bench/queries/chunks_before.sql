-- The chunks of checks that end before a time, the oldest first.
SELECT chunk::text FROM show_chunks('checks', older_than => %(older_than)s::timestamptz) AS chunk ORDER BY chunk
