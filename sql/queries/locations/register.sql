-- A prober makes its place known before it records anything from there.
INSERT INTO locations (id, name) VALUES (%(id)s, %(id)s) ON CONFLICT DO NOTHING
