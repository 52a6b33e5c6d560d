-- People who work on one incident at the same time.

ALTER TABLE events ADD COLUMN origin text;

COMMENT ON COLUMN events.origin IS 'the socket that made it happen and need not be told; NULL where everybody is';

-- What is withdrawn is found by what it is about.
CREATE INDEX events_of_service ON events ((data ->> 'serviceId')) WHERE event IN ('status-update', 'uptime-updated');
CREATE INDEX events_of_incident ON events ((coalesce(data ->> 'incidentId', data -> 'incident' ->> 'id')))
    WHERE event IN ('incident-created', 'incident-updated');

-- Which socket is in which incident's room, and whether somebody is editing there. The API process that holds the socket renews
-- its rows while it lives; what it no longer renews, any other process takes away, and says so. Unlogged: a crash of the
-- database forgets who was where, and the processes enter their sockets again. No reference to incidents: a row outlives a
-- deleted incident by seconds, and the order in which the two are locked is nobody's concern.
CREATE UNLOGGED TABLE presence_leases (
    incident_id text        NOT NULL,
    socket_id   text        NOT NULL,
    process_id  uuid        NOT NULL,
    user_id     uuid        NOT NULL,
    user_name   text        NOT NULL,
    editing     boolean     NOT NULL DEFAULT false,
    field       text,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (incident_id, socket_id)
);

CREATE INDEX presence_leases_process_id ON presence_leases (process_id);
CREATE INDEX presence_leases_expires_at ON presence_leases (expires_at);

COMMENT ON COLUMN presence_leases.field IS 'of the incident that is being edited, as the client says; NULL for all of it';
