-- Stored figures of the days that are over under SLA policies. They can be computed again at any time; see sql/accounting/days.sql.
CREATE TABLE sla_days (
    service_id         text COLLATE "C" NOT NULL,
    day                date     NOT NULL,
    status             severity NOT NULL,
    up_seconds         numeric  NOT NULL,
    degraded_seconds   numeric  NOT NULL,
    down_seconds       numeric  NOT NULL,
    unknown_seconds    numeric  NOT NULL,
    maintained_seconds numeric  NOT NULL,
    excluded_seconds   numeric  NOT NULL,
    outside_seconds    numeric  NOT NULL,
    spent_seconds      numeric  NOT NULL,
    PRIMARY KEY (service_id, day)
);

COMMENT ON TABLE sla_days IS 'a stored result: what the time of each local day counts as under SLA policies; no row for a day without a policy or data';
COMMENT ON COLUMN sla_days.day IS 'the local day in the time zone of the installation';
COMMENT ON COLUMN sla_days.status IS 'mo with downtime, po with degraded time, o with other uptime, nd if no time counts';
COMMENT ON COLUMN sla_days.spent_seconds IS 'down_seconds, and degraded_seconds times the degraded_weight of the policy';

CREATE TABLE sla_strips (
    service_id    text COLLATE "C" PRIMARY KEY,
    stored_upto   date     NOT NULL,
    upto          date,
    accounted     boolean  NOT NULL DEFAULT false,
    known         bit(90),
    degraded      bit(90),
    failed        bit(90),
    lost_seconds  numeric,
    known_seconds numeric,
    applies       boolean,
    policy_id     uuid,
    version       integer
);

COMMENT ON TABLE sla_strips IS 'a stored result: up to which day sla_days has the days of each service, and its last 89 closed days together';
COMMENT ON COLUMN sla_strips.stored_upto IS 'sla_days has all days of the service up to this one';
COMMENT ON COLUMN sla_strips.upto IS 'the last day of the other columns: they are valid while this is yesterday; NULL: not stored';
COMMENT ON COLUMN sla_strips.accounted IS 'whether a policy applied on one of the 89 days; otherwise the figures are those of day_strips';
COMMENT ON COLUMN sla_strips.lost_seconds IS 'the seconds spent; of days without a policy the downtime, the mean of the locations';
COMMENT ON COLUMN sla_strips.known_seconds IS 'the seconds up, degraded or down; of days without a policy the covered seconds, the mean of the locations';
COMMENT ON COLUMN sla_strips.applies IS 'whether a policy applies in some of the day after upto';
COMMENT ON COLUMN sla_strips.version IS 'of the policy version that applies to the whole day after upto; NULL: none or several';

-- Rows are only added by those who change something, so that nobody waits; the worker computes these days again and deletes them.
CREATE TABLE sla_changed_days (
    id         bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    service_id text COLLATE "C" NOT NULL,
    first_day  date   NOT NULL
);

CREATE INDEX sla_changed_days_service_id ON sla_changed_days (service_id, first_day);

COMMENT ON TABLE sla_changed_days IS 'stored days that are out of date, because something they were computed from has changed';
COMMENT ON COLUMN sla_changed_days.first_day IS 'sla_days is out of date from this day on; infinity: only sla_strips is';

-- The trouble of today, of all services. Without the condition, the planner would use this index for the episodes of one service.
CREATE INDEX episodes_ended ON episodes (ends_at) WHERE state IN ('outage', 'degraded');
