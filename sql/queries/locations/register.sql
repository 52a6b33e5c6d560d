-- Registers the location of a prober before it records checks.
INSERT INTO locations (id, name) VALUES (%(id)s, %(id)s) ON CONFLICT DO NOTHING
