-- Idempotency keys are kept for a day: clients repeat a request sooner.
DELETE FROM idempotency_keys WHERE created_at < now() - interval '24 hours'
