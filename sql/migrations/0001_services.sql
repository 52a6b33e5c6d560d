-- What is watched, from where, and how this installation counts.

-- Worst last, so that max() over a day is its worst check: nd < o < po < mo.
CREATE TYPE severity AS ENUM ('nd', 'o', 'po', 'mo');

CREATE TYPE service_state AS ENUM ('operational', 'degraded', 'outage', 'unknown', 'maintenance');

-- One row: what belongs to the database and not to one process. `sla-monitor migrate` writes it.
CREATE TABLE installation (
    only_row       boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    engine         text        NOT NULL CHECK (engine IN ('timescaledb', 'postgresql')),
    time_zone      text        NOT NULL,
    retention      interval    NOT NULL,
    compress_after interval    NOT NULL,
    complete_since timestamptz NOT NULL DEFAULT '-infinity'
);

-- A retention that is made longer does not bring back what the shorter one has dropped: figures of that time are never
-- computed again, and no row of it comes in.
COMMENT ON COLUMN installation.complete_since IS 'before this, raw checks may have been dropped by an earlier, shorter retention';

CREATE TABLE locations (
    id         text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$'),
    name       text        NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE services (
    id                    text COLLATE "C" PRIMARY KEY
        CONSTRAINT services_id CHECK (id ~ '^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$' AND id <> 'all-systems'),
    name                  text        NOT NULL CONSTRAINT services_name CHECK (length(name) BETWEEN 1 AND 100),
    description           text        CONSTRAINT services_description CHECK (length(description) <= 2000),
    type                  text        NOT NULL DEFAULT 'http' CONSTRAINT services_type CHECK (type = 'http'),
    endpoint_url          text        NOT NULL
        CONSTRAINT services_endpoint_url CHECK (endpoint_url ~ '^https?://[^ ]+$' AND length(endpoint_url) <= 2048),
    method                text        NOT NULL DEFAULT 'GET'
        CONSTRAINT services_method CHECK (method IN ('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS')),
    headers               jsonb       NOT NULL DEFAULT '{}'
        CONSTRAINT services_headers CHECK (jsonb_typeof(headers) = 'object'),
    body                  text        CONSTRAINT services_body CHECK (length(body) <= 65536),
    expected_status_codes smallint[]  NOT NULL DEFAULT '{200}'
        CONSTRAINT services_expected_status_codes
        CHECK (cardinality(expected_status_codes) BETWEEN 1 AND 500
               AND 100 <= ALL (expected_status_codes) AND 599 >= ALL (expected_status_codes)),
    keyword               text        CONSTRAINT services_keyword CHECK (length(keyword) BETWEEN 1 AND 1000),
    keyword_absent        text        CONSTRAINT services_keyword_absent CHECK (length(keyword_absent) BETWEEN 1 AND 1000),
    json_path             text        CONSTRAINT services_json_path
        CHECK (length(json_path) BETWEEN 1 AND 500
               AND json_path ~ $re$^\$(\.[^].['"]+|\[[0-9]{1,9}\]|\['[^']*'\]|\["[^"]*"\])*$$re$),
    json_value            text        CONSTRAINT services_json_value CHECK (length(json_value) <= 1000),
    interval_seconds      integer     NOT NULL DEFAULT 60
        CONSTRAINT services_interval_seconds CHECK (interval_seconds BETWEEN 1 AND 86400),
    timeout_ms            integer     NOT NULL DEFAULT 7000
        CONSTRAINT services_timeout_ms CHECK (timeout_ms BETWEEN 100 AND 60000),
    degraded_after_ms     integer     NOT NULL DEFAULT 3000
        CONSTRAINT services_degraded_after_ms CHECK (degraded_after_ms BETWEEN 1 AND 60000),
    retries               smallint    NOT NULL DEFAULT 0 CONSTRAINT services_retries CHECK (retries BETWEEN 0 AND 5),
    verify_tls            boolean     NOT NULL DEFAULT true,
    follow_redirects      smallint    NOT NULL DEFAULT 5
        CONSTRAINT services_follow_redirects CHECK (follow_redirects BETWEEN 0 AND 20),
    group_name            text        CONSTRAINT services_group_name CHECK (length(group_name) BETWEEN 1 AND 100),
    tags                  text[]      NOT NULL DEFAULT '{}' CONSTRAINT services_tags CHECK (cardinality(tags) <= 50),
    enabled               boolean     NOT NULL DEFAULT true,
    public                boolean     NOT NULL DEFAULT true,
    demo                  boolean     NOT NULL DEFAULT false,
    declared_in           text,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now()
);

COMMENT ON COLUMN services.demo IS 'true where the data are made up by `sla-monitor demo`';
COMMENT ON COLUMN services.declared_in IS 'the file that declares this service as code; NULL where it is administered over REST';
