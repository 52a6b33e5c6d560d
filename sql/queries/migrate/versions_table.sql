-- The parts of the schema that are applied, with the checksums of their texts.
CREATE TABLE IF NOT EXISTS schema_versions (
    name       text        PRIMARY KEY,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
