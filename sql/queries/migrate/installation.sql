INSERT INTO installation (engine, time_zone, retention, compress_after)
VALUES (%(engine)s, %(time_zone)s, %(retention)s, %(compress_after)s)
ON CONFLICT (only_row) DO UPDATE
    SET time_zone = excluded.time_zone, retention = excluded.retention, compress_after = excluded.compress_after
