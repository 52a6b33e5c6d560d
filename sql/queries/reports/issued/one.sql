-- The figures of an issued report, as JSON.
SELECT report::text AS report FROM sla_reports WHERE id = %(id)s
