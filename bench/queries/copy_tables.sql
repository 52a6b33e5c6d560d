-- Two tables with the columns that the prober copies: without a key, and with the primary key of checks.
CREATE TABLE checks_without_key (
    service_id text COLLATE "C" NOT NULL, location text COLLATE "C" NOT NULL, scheduled_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL, interval_seconds integer NOT NULL, status_code smallint, success boolean NOT NULL,
    severity text NOT NULL, total_ms real, dns_ms real, connect_ms real, tls_ms real, first_byte_ms real,
    attempts smallint NOT NULL, error_type text, error_message text, certificate_expires_at timestamptz,
    certificate_issuer text
);
CREATE TABLE checks_with_key (LIKE checks_without_key, PRIMARY KEY (service_id, location, scheduled_at))
