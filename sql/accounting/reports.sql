-- Issued reports stay as they are. Their audit leaves out the figures.

CREATE OR REPLACE TRIGGER sla_reports_stay
    BEFORE DELETE OR UPDATE OF id, first_day, last_day, scope, as_of, revision, report, author, issued_at ON sla_reports
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER sla_reports_audited
    AFTER INSERT OR UPDATE OR DELETE ON sla_reports
    FOR EACH ROW EXECUTE FUNCTION audit_change('sla-report', '', 'report,created_by,author,issued_at');
