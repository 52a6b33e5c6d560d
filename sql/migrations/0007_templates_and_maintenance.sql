-- What incidents start from, and what was announced beforehand.

-- Text only: nothing in it is ever executed. Services are named and not referenced, so that one which is deleted by mistake
-- and entered again is still in its templates.
CREATE TABLE templates (
    id                   uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    name                 text        NOT NULL CONSTRAINT templates_name CHECK (length(name) BETWEEN 1 AND 100),
    description          text        CONSTRAINT templates_description CHECK (length(description) <= 2000),
    title                text        NOT NULL CONSTRAINT templates_title CHECK (length(title) BETWEEN 1 AND 255),
    severity             text        NOT NULL
        CONSTRAINT templates_severity CHECK (severity IN ('low', 'medium', 'high', 'critical')),
    priority             text        NOT NULL CONSTRAINT templates_priority CHECK (priority IN ('P1', 'P2', 'P3')),
    affected_services    text[]      NOT NULL DEFAULT '{}'
        CONSTRAINT templates_affected_services CHECK (cardinality(affected_services) <= 1000),
    incident_description text        CONSTRAINT templates_incident_description CHECK (length(incident_description) <= 20000),
    first_update         text        CONSTRAINT templates_first_update CHECK (length(first_update) <= 20000),
    created_by           uuid        REFERENCES users ON DELETE SET NULL,
    author               text        NOT NULL,
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX templates_name_taken ON templates (lower(name));
CREATE INDEX templates_created_by ON templates (created_by);

COMMENT ON COLUMN templates.affected_services IS 'ids of services, some of which may no longer exist';
COMMENT ON COLUMN templates.author IS 'the name of who made it, at that time; it stays when the user is deleted';

-- Planned work. `starts_at` and `ends_at` are of the first occurrence; a recurring window has `rrule` (RFC 5545), on the clock
-- of `time_zone`.
CREATE TABLE maintenance_windows (
    id                uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    title             text        NOT NULL CONSTRAINT maintenance_windows_title CHECK (length(title) BETWEEN 1 AND 255),
    description       text        CONSTRAINT maintenance_windows_description CHECK (length(description) <= 20000),
    affected_services text[]      NOT NULL
        CONSTRAINT maintenance_windows_affected_services CHECK (cardinality(affected_services) BETWEEN 1 AND 1000),
    starts_at         timestamptz NOT NULL CONSTRAINT maintenance_windows_starts_at CHECK (starts_at >= '2000-01-01 00:00Z'),
    ends_at           timestamptz NOT NULL
        CONSTRAINT maintenance_windows_ends_at CHECK (ends_at > starts_at AND ends_at < '2101-01-01 00:00Z'),
    rrule             text        CONSTRAINT maintenance_windows_rrule CHECK (length(rrule) <= 500),
    time_zone         text        NOT NULL,
    public            boolean     NOT NULL DEFAULT true,
    version           integer     NOT NULL DEFAULT 1,
    expanded_until    timestamptz,
    created_by        uuid        REFERENCES users ON DELETE SET NULL,
    author            text        NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    deleted_at        timestamptz
);

CREATE INDEX maintenance_windows_created_by ON maintenance_windows (created_by);
CREATE INDEX maintenance_windows_expanded_until ON maintenance_windows (expanded_until)
    WHERE rrule IS NOT NULL AND deleted_at IS NULL;

COMMENT ON COLUMN maintenance_windows.expanded_until IS 'occurrences of a recurring window that begin before this are in maintenance_occurrences';
COMMENT ON COLUMN maintenance_windows.deleted_at IS 'of a window that had begun: what was announced and took place stays';

-- When a window takes place, and for which services: the past as it was, whatever becomes of the window, and the future as
-- far as it is expanded. No reference to services, as in outages.
CREATE TABLE maintenance_occurrences (
    window_id   uuid        NOT NULL REFERENCES maintenance_windows ON DELETE CASCADE,
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL CHECK (ends_at > starts_at),
    service_ids text[]      NOT NULL,
    PRIMARY KEY (window_id, starts_at)
);

CREATE INDEX maintenance_occurrences_period ON maintenance_occurrences USING gist (tstzrange(starts_at, ends_at));

ALTER TABLE service_states ADD COLUMN maintained_until timestamptz;

COMMENT ON COLUMN service_states.maintained_until IS 'the end of the last maintenance; no state began before it';
