-- What people write about: incidents, their timeline, what is said about them, and what is not yet saved.

CREATE TYPE incident_status AS ENUM ('investigating', 'identified', 'monitoring', 'resolved');
CREATE TYPE incident_severity AS ENUM ('low', 'medium', 'high', 'critical');
CREATE TYPE incident_priority AS ENUM ('P1', 'P2', 'P3');

-- The last number given out in each year of the reporting time zone. A row, not a sequence: numbers have no gaps, and
-- whoever creates an incident waits for the one before.
CREATE TABLE incident_numbers (
    year integer PRIMARY KEY,
    last integer NOT NULL
);

CREATE TABLE incidents (
    id                 text COLLATE "C"  PRIMARY KEY CONSTRAINT incidents_id CHECK (id ~ '^INC-[0-9]{4}-[0-9]{4,9}$'),
    title              text              NOT NULL CONSTRAINT incidents_title CHECK (length(title) BETWEEN 1 AND 255),
    description        text              CONSTRAINT incidents_description CHECK (length(description) <= 20000),
    status             incident_status   NOT NULL DEFAULT 'investigating',
    severity           incident_severity NOT NULL,
    priority           incident_priority NOT NULL,
    reporter           text              CONSTRAINT incidents_reporter CHECK (length(reporter) <= 100),
    detection_criteria text              CONSTRAINT incidents_detection_criteria CHECK (length(detection_criteria) <= 20000),
    postmortem         text              CONSTRAINT incidents_postmortem CHECK (length(postmortem) <= 20000),
    public             boolean           NOT NULL DEFAULT true,
    created_by         uuid              REFERENCES users ON DELETE SET NULL,
    author             text              NOT NULL,
    created_at         timestamptz       NOT NULL DEFAULT now(),
    updated_at         timestamptz       NOT NULL DEFAULT now(),
    resolved_at        timestamptz,
    version            integer           NOT NULL DEFAULT 1,
    changed_in         xid8              NOT NULL DEFAULT pg_current_xact_id(),
    edited_in          xid8              NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT incidents_resolved_at
        CHECK ((status = 'resolved') = (resolved_at IS NOT NULL) AND resolved_at >= created_at)
);

CREATE INDEX incidents_created_at ON incidents (created_at DESC, id DESC);
CREATE INDEX incidents_unresolved ON incidents (created_at DESC, id DESC) WHERE status <> 'resolved';
CREATE INDEX incidents_resolved_at ON incidents (resolved_at);
CREATE INDEX incidents_created_by ON incidents (created_by);

COMMENT ON COLUMN incidents.author IS 'the name of who created it, as it was then';
COMMENT ON COLUMN incidents.version IS 'counts the transactions that changed the incident, its services or its timeline';
COMMENT ON COLUMN incidents.changed_in IS 'the transaction that made this version: all it changes is one version';
COMMENT ON COLUMN incidents.edited_in IS 'the last transaction that changed more than the timeline';

-- No reference to services, as in outages: what was affected stays so when the service is deleted.
CREATE TABLE incident_services (
    incident_id text COLLATE "C" NOT NULL REFERENCES incidents ON DELETE CASCADE,
    service_id  text COLLATE "C" NOT NULL,
    PRIMARY KEY (incident_id, service_id)
);

CREATE INDEX incident_services_service_id ON incident_services (service_id);

-- The timeline. What was said then stays said: rows are added, never changed.
CREATE SEQUENCE incident_update_ids;

CREATE TABLE incident_updates (
    id          bigint           PRIMARY KEY,
    incident_id text COLLATE "C" NOT NULL REFERENCES incidents ON DELETE CASCADE,
    version     integer          NOT NULL,
    status      incident_status  NOT NULL,
    description text             NOT NULL DEFAULT ''
        CONSTRAINT incident_updates_description CHECK (length(description) <= 20000),
    author      text             NOT NULL,
    created_at  timestamptz      NOT NULL
);

ALTER SEQUENCE incident_update_ids OWNED BY incident_updates.id;

CREATE INDEX incident_updates_incident_id ON incident_updates (incident_id, id);

COMMENT ON COLUMN incident_updates.version IS 'of the incident, which this update is part of';
COMMENT ON COLUMN incident_updates.description IS 'empty where only the status was changed';

CREATE TABLE incident_comments (
    id          bigint           PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    incident_id text COLLATE "C" NOT NULL REFERENCES incidents ON DELETE CASCADE,
    author_id   uuid             REFERENCES users ON DELETE SET NULL,
    author      text             NOT NULL,
    text        text             NOT NULL CONSTRAINT incident_comments_text CHECK (length(text) BETWEEN 1 AND 10000),
    public      boolean          NOT NULL DEFAULT false,
    created_at  timestamptz      NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX incident_comments_incident_id ON incident_comments (incident_id, id);
CREATE INDEX incident_comments_author_id ON incident_comments (author_id);

-- What somebody has typed and not saved: the latest of each incident and user, or that they have saved, so that what was typed
-- before and comes later is not taken for news. The limit is on the text that events carry; it is twice what the API takes, since
-- jsonb writes numbers out in full.
CREATE TABLE incident_drafts (
    incident_id  text COLLATE "C" NOT NULL REFERENCES incidents ON DELETE CASCADE,
    user_id      uuid             NOT NULL REFERENCES users ON DELETE CASCADE,
    data         jsonb
        CONSTRAINT incident_drafts_data CHECK (jsonb_typeof(data) = 'object' AND octet_length(data::text) <= 131072),
    base_version integer,
    saved_at     timestamptz      NOT NULL,
    PRIMARY KEY (incident_id, user_id)
);

CREATE INDEX incident_drafts_user_id ON incident_drafts (user_id, saved_at);

COMMENT ON COLUMN incident_drafts.data IS 'NULL where its user has saved the incident, as version base_version';
COMMENT ON COLUMN incident_drafts.base_version IS 'the version of the incident that was on the screen; NULL where it was not told';

-- A client that does not know whether its POST arrived sends it again under the same key. Kept for a day.
CREATE TABLE idempotency_keys (
    actor_id     uuid             NOT NULL,
    key          text COLLATE "C" NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request_hash bytea            NOT NULL,
    incident_id  text COLLATE "C",
    created_at   timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (actor_id, key)
);

CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);

COMMENT ON COLUMN idempotency_keys.actor_id IS 'the user, or the API token';
COMMENT ON COLUMN idempotency_keys.incident_id IS 'what was created; it stays when the incident is deleted, so that it is not created again';
