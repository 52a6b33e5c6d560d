-- The heartbeats for which a check is to be recorded now, under the lock of recording: a report is late, the last check stands no longer,
-- or no report is due yet although the job has reported before. A limited number, the rest in the next round.
SELECT service_id, check_config, interval_seconds, enabled, started_at, due_at, late_at, recorded_at, covered_to, failing,
       last_ping_at, present_clock() AS now
FROM heartbeats
JOIN services ON services.id = service_id
WHERE enabled AND (least(late_at, covered_to) <= present() OR due_at IS NULL AND last_ping_at IS NOT NULL)
ORDER BY least(late_at, covered_to) NULLS FIRST
LIMIT %(most)s
