-- The signing key of this installation, which is the first one that was stored.
INSERT INTO secrets (name, value)
VALUES ('jwt', %(fresh)s)
ON CONFLICT (name) DO UPDATE SET value = secrets.value
RETURNING value
