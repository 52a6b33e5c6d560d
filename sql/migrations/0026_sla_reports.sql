-- Issued SLA reports. Each is stored with all its figures, so that later corrections and policies do not change it.
CREATE TABLE sla_reports (
    id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    first_day  date        NOT NULL,
    last_day   date        NOT NULL CHECK (last_day >= first_day),
    scope      jsonb       NOT NULL CHECK (jsonb_typeof(scope) = 'object'),
    as_of      timestamptz NOT NULL,
    revision   integer     NOT NULL CHECK (revision > 0),
    report     jsonb       NOT NULL CHECK (jsonb_typeof(report) = 'object'),
    author     text        NOT NULL,
    created_by uuid        REFERENCES users ON DELETE SET NULL,
    issued_at  timestamptz NOT NULL DEFAULT present()
);

-- By hash, since a scope can be longer than a key of an index.
CREATE UNIQUE INDEX sla_reports_revision ON sla_reports (first_day, last_day, md5(scope::text), revision);
CREATE INDEX sla_reports_issued_at ON sla_reports (issued_at DESC, id);
CREATE INDEX sla_reports_created_by ON sla_reports (created_by);

COMMENT ON TABLE sla_reports IS 'issued SLA reports. Rows are never changed or deleted';
COMMENT ON COLUMN sla_reports.scope IS 'services, groups and tags, sorted, and whether it is for public services only';
COMMENT ON COLUMN sla_reports.as_of IS 'policies, corrections and announcements are those known at this time';
COMMENT ON COLUMN sla_reports.revision IS 'counts the reports of the same days and scope';
COMMENT ON COLUMN sla_reports.report IS 'the figures and texts, as in sla_monitor/reports/structure.py';
