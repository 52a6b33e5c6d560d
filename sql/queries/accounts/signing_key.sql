-- The key that this installation signs tokens with: the first one that was offered.
INSERT INTO secrets (name, value)
VALUES ('jwt', %(fresh)s)
ON CONFLICT (name) DO UPDATE SET value = secrets.value
RETURNING value
