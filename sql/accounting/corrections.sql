-- Corrections: the list of them with its filters, the rules that protect them, and their audit.

-- The corrections that pass all filters that are not NULL. Those of a service are for its id, for its group or one of its
-- tags at the time of the correction, or for everything. Those of a time have an occurrence between `low` and `high`.
CREATE OR REPLACE FUNCTION sla_listed_corrections(service text, low timestamptz, high timestamptz, withdrawn boolean)
    RETURNS SETOF sla_corrections
    LANGUAGE sql STABLE ROWS 100 AS
$$
SELECT *
FROM sla_corrections
WHERE (withdrawn IS NULL OR withdrawn = (withdrawn_at IS NOT NULL))
  AND ((low IS NULL AND high IS NULL)
       OR EXISTS (SELECT
                  FROM sla_correction_spans
                  WHERE correction_id = sla_corrections.id AND span && tstzrange(low, high)))
  AND (service IS NULL
       OR CASE scope
              WHEN 'everything' THEN true
              WHEN 'service' THEN subject = service
              ELSE EXISTS (SELECT
                           FROM service_memberships
                           WHERE service_id = service
                             AND valid && tstzrange(starts_at, CASE WHEN rrule IS NULL THEN ends_at END)
                             AND sla_concerns(scope, subject, service_id, group_name, tags))
          END)
$$;

CREATE OR REPLACE TRIGGER sla_corrections_stay
    BEFORE DELETE OR UPDATE OF id, scope, subject, effect, category, reason, starts_at, ends_at, rrule, time_zone, author, created_at
    ON sla_corrections
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER sla_corrections_withdrawn_once
    BEFORE UPDATE OF withdrawn_at, withdrawn_by ON sla_corrections
    FOR EACH ROW WHEN (OLD.withdrawn_at IS NOT NULL)
    EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER sla_corrections_audited
    AFTER INSERT OR UPDATE OR DELETE ON sla_corrections
    FOR EACH ROW EXECUTE FUNCTION audit_change('correction', '', 'created_at,created_by,due_at');
