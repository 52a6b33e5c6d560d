-- The types of a table's columns, in their order.
SELECT atttypid FROM pg_attribute WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
