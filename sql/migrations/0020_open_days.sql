-- The figures of the day that is not over yet, beside the latest check: the status page reads them once a second, and adding up the raw
-- checks above the watermark for it took longer than recording them. Kept by record_checks_v2; see open_days.sql.
ALTER TABLE latest_checks
    ADD COLUMN day_covered_seconds bigint,
    ADD COLUMN day_down_seconds    bigint;

COMMENT ON COLUMN latest_checks.day IS 'the local day of this check; the other columns of the day are of all its checks';
COMMENT ON COLUMN latest_checks.day_covered_seconds IS 'as in rollups; NULL while not counted, then day_worst may be too good, too';
COMMENT ON COLUMN latest_checks.day_down_seconds IS 'as in rollups; NULL while not counted';

-- Rows of latest_checks go with their service or location, checks do not: a service that is entered again has its day back.
CREATE TABLE left_checks (
    service_id   text COLLATE "C" NOT NULL,
    location     text COLLATE "C" NOT NULL,
    scheduled_at timestamptz      NOT NULL,
    PRIMARY KEY (service_id, location)
);

COMMENT ON TABLE left_checks IS 'the latest checks of services and locations that were deleted in the last days';
