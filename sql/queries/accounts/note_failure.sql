-- Writes a refused password into the audit log, with the name and the reason.
SELECT audit(%(action)s, 'user', %(name)s, after => jsonb_build_object('reason', %(reason)s::text))
