-- The time by which everything is reckoned. A statement of this schema asks these two and never now(), so that a test can set the
-- clock of a database: by replacing them.
CREATE FUNCTION present() RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN now();

CREATE FUNCTION present_clock() RETURNS timestamptz
    LANGUAGE sql VOLATILE
    RETURN clock_timestamp();

COMMENT ON FUNCTION present IS 'the start of the transaction, as now()';
COMMENT ON FUNCTION present_clock IS 'this moment, as clock_timestamp(): for transactions that have waited for a lock';

-- The bins that response times are counted in; rollups keep its results, so it must never change. As latency_bin(), with a bin for
-- what took no sixteenth of a millisecond. Not strict: a strict function with a CASE is not inlined.
CREATE FUNCTION response_bin(ms real) RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN ms < 0.03125 THEN -100 ELSE ceil(ln(ms::double precision) / ln(1.04::double precision)) END::smallint;

-- The response time that stands for all of a bin: its geometric middle, at most 2 % from any of them.
CREATE FUNCTION bin_ms(bin smallint) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN bin = -100 THEN 0 ELSE power(1.04::double precision, bin - 0.5) END;

COMMENT ON FUNCTION response_bin IS
    'the logarithmic bin of a response time: bin b holds the times above 1.04^(b-1) and up to 1.04^b milliseconds, -100 those of 0';
COMMENT ON FUNCTION bin_ms IS 'the geometric middle of a bin, in milliseconds';

-- The newest raw checks are found by time, whatever service they belong to: some pages of block ranges instead of a scan of the day.
CREATE INDEX checks_scheduled_at ON checks USING brin (scheduled_at) WITH (pages_per_range = 16, autosummarize = on);

-- What each location saw of a service: contiguous spans from its first check on, kept for good. No reference to services, as in
-- outages.
CREATE TABLE episodes (
    service_id    text COLLATE "C" NOT NULL,
    location      text COLLATE "C" NOT NULL,
    starts_at     timestamptz      NOT NULL,
    ends_at       timestamptz      CHECK (ends_at > starts_at),
    state         service_state    NOT NULL CHECK (state <> 'maintenance'),
    error_type    text,
    error_message text,
    expires_at    timestamptz,
    estimated     boolean          NOT NULL DEFAULT false,
    PRIMARY KEY (service_id, location, starts_at)
);

CREATE INDEX episodes_ends_at ON episodes (service_id, ends_at);
CREATE UNIQUE INDEX episodes_one_open ON episodes (service_id, location) WHERE ends_at IS NULL;

COMMENT ON TABLE episodes IS 'what each location saw of a service: contiguous spans of one state, from its first check on';
COMMENT ON COLUMN episodes.ends_at IS 'the start of the next one; NULL while it goes on';
COMMENT ON COLUMN episodes.state IS 'operational, degraded, outage, or unknown: no check stands for this time';
COMMENT ON COLUMN episodes.error_type IS 'of the check that it began with';
COMMENT ON COLUMN episodes.expires_at IS 'of an unknown one: until then the state before it holds, so that a missed check changes none';
COMMENT ON COLUMN episodes.estimated IS
    'true where it was made from aggregates, or from the last known state, because the raw checks are gone';

-- When a service was not watched: paused, or deleted and not yet entered again.
CREATE TABLE service_pauses (
    service_id text COLLATE "C" NOT NULL,
    paused_at  timestamptz      NOT NULL,
    resumed_at timestamptz      CHECK (resumed_at >= paused_at),
    PRIMARY KEY (service_id, paused_at)
);

CREATE UNIQUE INDEX service_pauses_one_open ON service_pauses (service_id) WHERE resumed_at IS NULL;

COMMENT ON TABLE service_pauses IS 'when a service was not watched: paused, or deleted and not yet entered again';

INSERT INTO service_pauses (service_id, paused_at)
SELECT id, updated_at FROM services WHERE NOT enabled;

-- An outage keeps its id when late checks move its bounds; of outages that become one, the oldest id stays.
ALTER TABLE outages DROP CONSTRAINT outages_pkey;
ALTER TABLE outages ADD COLUMN id bigint;
UPDATE outages
SET id = numbered.id
FROM (SELECT service_id, started_at, row_number() OVER (ORDER BY started_at, service_id) AS id FROM outages) AS numbered
WHERE outages.service_id = numbered.service_id AND outages.started_at = numbered.started_at;
ALTER TABLE outages
    ALTER COLUMN id SET NOT NULL,
    ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY,
    ADD PRIMARY KEY (id);
SELECT setval(pg_get_serial_sequence('outages', 'id'), coalesce(max(id), 1), max(id) IS NOT NULL) FROM outages;
CREATE UNIQUE INDEX outages_started_at ON outages (service_id, started_at);

COMMENT ON COLUMN outages.id IS 'stays when late checks move the bounds; of outages that become one, the oldest stays';

-- A service that is deleted and entered again on the same day is not at its first status of the day.
ALTER TABLE announced_days DROP CONSTRAINT announced_days_service_id_fkey;

-- The episode that each location is in, as far as the states know it: since when the service is in its state. Made exact, and
-- continued into the past, from the raw checks by fill_episodes().
INSERT INTO episodes (service_id, location, starts_at, state, error_type, error_message, expires_at, estimated)
SELECT service_id,
       location,
       since,
       CASE
           WHEN expired THEN 'unknown'
           WHEN severity = 'mo' THEN 'outage'
           WHEN severity = 'po' THEN 'degraded'
           ELSE 'operational'
       END::service_state,
       CASE WHEN NOT expired THEN error_type END,
       CASE WHEN NOT expired THEN error_message END,
       CASE WHEN expired THEN since END,
       true
FROM latest_checks
JOIN service_states USING (service_id);

-- Its place is taken by note_pause().
DROP FUNCTION IF EXISTS forget_paused() CASCADE;

ALTER TABLE service_states ALTER COLUMN since SET DEFAULT present();
