-- What was known of the past before late checks changed it, so that figures can be computed as they were known at a moment.
CREATE TABLE former_episodes (
    id          bigint           PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    service_id  text COLLATE "C" NOT NULL,
    location    text COLLATE "C" NOT NULL,
    starts_at   timestamptz      NOT NULL,
    ends_at     timestamptz      NOT NULL CHECK (ends_at > starts_at),
    state       service_state    CHECK (state <> 'maintenance'),
    estimated   boolean          NOT NULL DEFAULT false,
    known_until timestamptz      NOT NULL CHECK (known_until >= ends_at)
);

CREATE INDEX former_episodes_known_until ON former_episodes (service_id, known_until);

COMMENT ON TABLE former_episodes IS
    'what episodes had for spans of time that have changed since, kept for good; rows are only added, none for what was changed before release 0.2';
COMMENT ON COLUMN former_episodes.starts_at IS 'the start of the time that has changed, not of the whole episode';
COMMENT ON COLUMN former_episodes.ends_at IS 'not after known_until: an open episode is known until the present';
COMMENT ON COLUMN former_episodes.state IS 'the state before the change; NULL: no episode was known, the first check of the location was later';
COMMENT ON COLUMN former_episodes.estimated IS 'as in episodes';
COMMENT ON COLUMN former_episodes.known_until IS
    'when the change was recorded; of several rows for one moment, the one with the lowest known_until after an instant t, and of these the '
    'lowest id, has what was known at t';

-- It has one more parameter now.
DROP FUNCTION IF EXISTS sla_observed(text[], uuid[], integer[], timestamptz[], timestamptz[]);
