CREATE OR REPLACE TRIGGER templates_audited
    AFTER INSERT OR UPDATE OR DELETE ON templates
    FOR EACH ROW EXECUTE FUNCTION audit_change('template', '', 'updated_at,created_at,created_by');

CREATE OR REPLACE TRIGGER templates_updated_at
    BEFORE UPDATE ON templates
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
