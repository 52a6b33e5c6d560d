-- SLA accounting: policies and their versions, holidays, corrections, and the attributes of services over time.

-- A policy is defined by its versions. It is for one service, for the services with a tag or of a group, or for all services.
CREATE TABLE sla_policies (
    id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    scope      text        NOT NULL CONSTRAINT sla_policies_scope CHECK (scope IN ('service', 'tag', 'group', 'everything')),
    subject    text COLLATE "C" CONSTRAINT sla_policies_subject CHECK (length(subject) BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL DEFAULT present(),
    UNIQUE NULLS NOT DISTINCT (scope, subject),
    CONSTRAINT sla_policies_subject_of_scope CHECK ((subject IS NULL) = (scope = 'everything'))
);

COMMENT ON TABLE sla_policies IS 'what each SLA policy is for; its terms are in sla_policy_versions';
COMMENT ON COLUMN sla_policies.subject IS 'the id of a service, a tag, or the name of a group; NULL for everything';

-- Holidays are stored dates, so that no past figure changes with a library or a law.
CREATE TABLE holiday_calendars (
    name       text COLLATE "C" PRIMARY KEY CONSTRAINT holiday_calendars_name CHECK (length(name) BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL DEFAULT present()
);

CREATE TABLE holidays (
    calendar text COLLATE "C" NOT NULL REFERENCES holiday_calendars ON DELETE CASCADE,
    day      date             NOT NULL CHECK (day BETWEEN '2000-01-01' AND '2100-12-31'),
    name     text             NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    PRIMARY KEY (calendar, day)
);

CREATE TABLE sla_policy_versions (
    policy_id               uuid         NOT NULL REFERENCES sla_policies ON DELETE CASCADE,
    version                 integer      NOT NULL CHECK (version > 0),
    valid_from              date         NOT NULL
        CONSTRAINT sla_policy_versions_valid_from CHECK (valid_from BETWEEN '2000-01-01' AND '2100-12-31'),
    ended                   boolean      NOT NULL DEFAULT false,
    name                    text         NOT NULL CONSTRAINT sla_policy_versions_name CHECK (length(name) BETWEEN 1 AND 100),
    target                  numeric(7,4) NOT NULL CONSTRAINT sla_policy_versions_target CHECK (target > 0 AND target <= 100),
    period                  text         NOT NULL DEFAULT 'month'
        CONSTRAINT sla_policy_versions_period CHECK (period IN ('month', 'quarter', 'year', 'rolling')),
    rolling_days            smallint     CONSTRAINT sla_policy_versions_rolling_days CHECK (rolling_days BETWEEN 1 AND 366),
    time_zone               text         NOT NULL,
    service_hours           jsonb        CONSTRAINT sla_policy_versions_service_hours CHECK (jsonb_typeof(service_hours) = 'array'),
    holiday_calendar        text COLLATE "C" REFERENCES holiday_calendars,
    maintenance             text         NOT NULL DEFAULT 'excluded'
        CONSTRAINT sla_policy_versions_maintenance CHECK (maintenance IN ('excluded', 'counted')),
    announced_minutes       integer      NOT NULL DEFAULT 0
        CONSTRAINT sla_policy_versions_announced_minutes CHECK (announced_minutes BETWEEN 0 AND 525600),
    degraded_weight         numeric(4,3) NOT NULL DEFAULT 0
        CONSTRAINT sla_policy_versions_degraded_weight CHECK (degraded_weight BETWEEN 0 AND 1),
    unknown                 text         NOT NULL DEFAULT 'excluded'
        CONSTRAINT sla_policy_versions_unknown CHECK (unknown IN ('excluded', 'down', 'up')),
    shortest_outage_seconds integer      NOT NULL DEFAULT 0
        CONSTRAINT sla_policy_versions_shortest_outage_seconds CHECK (shortest_outage_seconds BETWEEN 0 AND 86400),
    quorum                  text         NOT NULL DEFAULT 'majority'
        CONSTRAINT sla_policy_versions_quorum CHECK (quorum IN ('one', 'majority', 'all', 'number')),
    quorum_locations        smallint     CONSTRAINT sla_policy_versions_quorum_locations CHECK (quorum_locations BETWEEN 1 AND 1000),
    least_coverage          numeric(5,2) NOT NULL DEFAULT 0
        CONSTRAINT sla_policy_versions_least_coverage CHECK (least_coverage BETWEEN 0 AND 100),
    author                  text         NOT NULL,
    created_by              uuid         REFERENCES users ON DELETE SET NULL,
    recorded_at             timestamptz  NOT NULL DEFAULT present(),
    PRIMARY KEY (policy_id, version),
    CONSTRAINT sla_policy_versions_rolling CHECK ((period = 'rolling') = (rolling_days IS NOT NULL)),
    CONSTRAINT sla_policy_versions_number CHECK ((quorum = 'number') = (quorum_locations IS NOT NULL))
);

CREATE INDEX sla_policy_versions_created_by ON sla_policy_versions (created_by);
CREATE INDEX sla_policy_versions_holiday_calendar ON sla_policy_versions (holiday_calendar);

COMMENT ON TABLE sla_policy_versions IS 'the terms of each SLA policy. On a day the version with the highest number that is valid by then applies';
COMMENT ON COLUMN sla_policy_versions.valid_from IS 'the version applies from the start of this day in time_zone';
COMMENT ON COLUMN sla_policy_versions.ended IS 'true: the policy does not apply from then on';
COMMENT ON COLUMN sla_policy_versions.target IS 'the promised availability in percent';
COMMENT ON COLUMN sla_policy_versions.service_hours IS
    'weekly intervals {"days": [1..7, 1 is Monday], "from": "08:00", "until": "20:00"} in time_zone; NULL: always';
COMMENT ON COLUMN sla_policy_versions.holiday_calendar IS 'days without service hours';
COMMENT ON COLUMN sla_policy_versions.maintenance IS 'excluded: maintenance is neither up nor down; counted: it counts as observed';
COMMENT ON COLUMN sla_policy_versions.announced_minutes IS 'maintenance is excluded only if it was announced this long before';
COMMENT ON COLUMN sla_policy_versions.degraded_weight IS 'the share of degraded time that counts as downtime';
COMMENT ON COLUMN sla_policy_versions.unknown IS 'what time without data counts as';
COMMENT ON COLUMN sla_policy_versions.shortest_outage_seconds IS 'shorter outages do not count as downtime';
COMMENT ON COLUMN sla_policy_versions.quorum IS 'how many of the locations that have data must see an outage: one, more than half, all, or quorum_locations';
COMMENT ON COLUMN sla_policy_versions.least_coverage IS 'below this share of known time, in percent, there is no verdict';

-- A correction changes what counts, never a raw row. It can be withdrawn, and stays as a row.
CREATE TABLE sla_corrections (
    id           uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    scope        text        NOT NULL CONSTRAINT sla_corrections_scope CHECK (scope IN ('service', 'tag', 'group', 'everything')),
    subject      text COLLATE "C" CONSTRAINT sla_corrections_subject CHECK (length(subject) BETWEEN 1 AND 100),
    effect       text        NOT NULL CONSTRAINT sla_corrections_effect CHECK (effect IN ('up', 'down', 'excluded')),
    category     text        NOT NULL
        CONSTRAINT sla_corrections_category
        CHECK (category IN ('maintenance', 'deployment', 'outside_hours', 'false_positive', 'other')),
    reason       text        NOT NULL CONSTRAINT sla_corrections_reason CHECK (length(reason) BETWEEN 1 AND 2000),
    starts_at    timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL,
    rrule        text        CONSTRAINT sla_corrections_rrule CHECK (length(rrule) <= 500),
    time_zone    text        NOT NULL,
    author       text        NOT NULL,
    created_by   uuid        REFERENCES users ON DELETE SET NULL,
    created_at   timestamptz NOT NULL DEFAULT present(),
    withdrawn_at timestamptz,
    withdrawn_by text,
    due_at       timestamptz,
    CONSTRAINT sla_corrections_subject_of_scope CHECK ((subject IS NULL) = (scope = 'everything')),
    CONSTRAINT sla_corrections_ends_at CHECK (ends_at > starts_at),
    CONSTRAINT sla_corrections_withdrawn CHECK ((withdrawn_at IS NULL) = (withdrawn_by IS NULL))
);

CREATE INDEX sla_corrections_created_by ON sla_corrections (created_by);
CREATE INDEX sla_corrections_due_at ON sla_corrections (due_at) WHERE withdrawn_at IS NULL;

CREATE TABLE sla_correction_spans (
    correction_id uuid      NOT NULL REFERENCES sla_corrections ON DELETE CASCADE,
    span          tstzrange NOT NULL CHECK (NOT isempty(span)),
    PRIMARY KEY (correction_id, span)
);

CREATE INDEX sla_correction_spans_span ON sla_correction_spans USING gist (span);

COMMENT ON TABLE sla_corrections IS 'decisions of people on what counts: the effect on a span of time, its author and reason';
COMMENT ON COLUMN sla_corrections.effect IS 'the time counts as up, as down, or is excluded from the period';
COMMENT ON COLUMN sla_corrections.due_at IS
    'of an endless rule: the worker stores the next occurrence when it begins, at this time; NULL: all occurrences are stored';
COMMENT ON TABLE sla_correction_spans IS 'the occurrences of each correction; of an endless rule those that have begun';

-- Group and tags of each service over time: a policy or correction of a tag or group is for the services that have it then.
CREATE TABLE service_memberships (
    service_id       text COLLATE "C" NOT NULL,
    valid            tstzrange        NOT NULL CHECK (NOT isempty(valid)),
    group_name       text COLLATE "C",
    tags             text[] COLLATE "C" NOT NULL,
    interval_seconds integer          NOT NULL,
    public           boolean          NOT NULL,
    PRIMARY KEY (service_id, valid)
);

COMMENT ON TABLE service_memberships IS 'the group, tags, interval and visibility of each service over time, also of deleted services';

-- What was known before this release is the present state.
INSERT INTO service_memberships (service_id, valid, group_name, tags, interval_seconds, public)
SELECT id, '(,)', group_name, tags, interval_seconds, public FROM services;

-- When which time was announced as maintenance. An extension is a row of its own.
CREATE TABLE maintenance_announcements (
    window_id    uuid        NOT NULL REFERENCES maintenance_windows ON DELETE CASCADE,
    span         tstzrange   NOT NULL CHECK (NOT isempty(span)),
    service_ids  text[]      NOT NULL,
    announced_at timestamptz NOT NULL DEFAULT present()
);

CREATE INDEX maintenance_announcements_window_id ON maintenance_announcements (window_id);
CREATE INDEX maintenance_announcements_span ON maintenance_announcements USING gist (span);

COMMENT ON TABLE maintenance_announcements IS 'what was announced for each window, and when; rows are only added';

INSERT INTO maintenance_announcements (window_id, span, service_ids, announced_at)
SELECT window_id, tstzrange(maintenance_occurrences.starts_at, maintenance_occurrences.ends_at), service_ids, created_at
FROM maintenance_occurrences
JOIN maintenance_windows ON maintenance_windows.id = window_id;
