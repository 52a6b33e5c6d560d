-- The number of issued reports.
SELECT count(*) AS total FROM sla_reports
