INSERT INTO installation (engine, time_zone, retention)
VALUES (%(engine)s, %(time_zone)s, %(retention)s)
ON CONFLICT (only_row) DO UPDATE SET time_zone = excluded.time_zone, retention = excluded.retention
