-- The table that batches are copied into for record_checks_v2(). It belongs to the session and is empty after each commit. Its columns
-- accept values that checks refuses, so that one bad row is parked and does not fail its batch.
CREATE TEMP TABLE IF NOT EXISTS incoming_checks (
    service_id             text COLLATE "C",
    location               text COLLATE "C",
    scheduled_at           timestamptz,
    finished_at            timestamptz,
    interval_seconds       integer,
    status_code            integer,
    success                boolean,
    severity               text,
    total_ms               real,
    dns_ms                 real,
    connect_ms             real,
    tls_ms                 real,
    first_byte_ms          real,
    attempts               integer,
    error_type             text,
    error_message          text,
    certificate_expires_at timestamptz,
    certificate_issuer     text
) ON COMMIT DELETE ROWS
