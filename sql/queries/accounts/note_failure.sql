-- Writes a failed login to the audit log, with the typed name and the reason, which the response does not contain.
SELECT audit(%(action)s, 'user', %(name)s, after => jsonb_build_object('reason', %(reason)s::text))
