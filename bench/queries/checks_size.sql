-- All of the table's relations: heap, TOAST and indexes, compressed or not; and its rows.
SELECT hypertable_size('checks') AS bytes, (SELECT count(*) FROM checks) AS rows
