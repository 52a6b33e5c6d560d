-- What is known now, what happened, and who must hear of it.

COMMENT ON COLUMN checks.scheduled_at IS 'the slot on the grid that this check was due in; with service and location its key';
COMMENT ON COLUMN checks.finished_at IS 'the end of the quarter second, counted from scheduled_at, in which the check was over';
COMMENT ON COLUMN checks.interval_seconds IS 'the time this check stands for: until the next slot, as the grid was when it was scheduled';
COMMENT ON COLUMN checks.status_code IS 'of the answer; NULL when no answer came';
COMMENT ON COLUMN checks.severity IS 'o good, po good but slower than degraded_after_ms, mo failed';
COMMENT ON COLUMN checks.total_ms IS 'of the attempt that decided, in milliseconds, to the nearest 1/16';
COMMENT ON COLUMN checks.first_byte_ms IS 'from the request sent to the first byte of the answer';
COMMENT ON COLUMN checks.attempts IS '1 + the retries that were made; the last attempt decides';

-- The last check of a service from each location. Updated with every batch: the free half of each page keeps those updates
-- inside it (HOT), without a touch of the index.
CREATE TABLE latest_checks (
    service_id       text COLLATE "C" NOT NULL REFERENCES services ON DELETE CASCADE,
    location         text COLLATE "C" NOT NULL REFERENCES locations ON DELETE CASCADE,
    scheduled_at     timestamptz      NOT NULL,
    finished_at      timestamptz      NOT NULL,
    interval_seconds integer          NOT NULL,
    status_code      smallint,
    severity         severity         NOT NULL,
    total_ms         real,
    error_type       text,
    error_message    text,
    day              date             NOT NULL,
    day_worst        severity         NOT NULL,
    expired          boolean          NOT NULL DEFAULT false,
    PRIMARY KEY (service_id, location)
) WITH (fillfactor = 50);

COMMENT ON COLUMN latest_checks.day IS 'the local day of this check, and the worst severity seen on it so far';
COMMENT ON COLUMN latest_checks.expired IS 'true once the check is too old to speak for the present';

CREATE TABLE service_states (
    service_id text COLLATE "C" PRIMARY KEY REFERENCES services ON DELETE CASCADE,
    state      service_state NOT NULL DEFAULT 'unknown',
    since      timestamptz   NOT NULL DEFAULT now()
);

-- From the first failed check to the first good one after it. No reference to services: a service that is deleted by
-- mistake and entered again has its history back.
CREATE TABLE outages (
    service_id    text COLLATE "C" NOT NULL,
    started_at    timestamptz      NOT NULL,
    ended_at      timestamptz      CHECK (ended_at > started_at),
    error_type    text,
    error_message text,
    PRIMARY KEY (service_id, started_at)
);

CREATE UNIQUE INDEX outages_one_open ON outages (service_id) WHERE ended_at IS NULL;

-- The feed. `seq` is given out under a lock that is held until commit (see append_events), so a reader that asks for all
-- above the last number it saw misses none.
CREATE TABLE events (
    seq         bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    event       text        NOT NULL,
    room        text,
    data        jsonb       NOT NULL
);

CREATE INDEX events_occurred_at ON events (occurred_at);

COMMENT ON COLUMN events.room IS 'who hears of it; NULL for everyone';

-- Checks that could not be stored, with the reason; nothing else of their batch is lost.
CREATE TABLE parked_checks (
    parked_at timestamptz NOT NULL DEFAULT now(),
    reason    text        NOT NULL,
    data      jsonb       NOT NULL
);

CREATE INDEX parked_checks_parked_at ON parked_checks (parked_at);

-- Stretches of time whose aggregates are out of date because rows arrived after they had been materialised. Written in the
-- transaction that stores the rows, consumed by one refresher at a time.
CREATE TABLE touched_ranges (
    id    bigint    PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    range tstzrange NOT NULL CHECK (NOT isempty(range))
);

-- The worst status of each day that the feed has told of.
CREATE TABLE announced_days (
    service_id text COLLATE "C" NOT NULL REFERENCES services ON DELETE CASCADE,
    day        date             NOT NULL,
    worst      severity         NOT NULL,
    PRIMARY KEY (service_id, day)
);
