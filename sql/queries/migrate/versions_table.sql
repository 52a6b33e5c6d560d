-- What has been applied to this database, with the checksum of its text.
CREATE TABLE IF NOT EXISTS schema_versions (
    name       text        PRIMARY KEY,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
