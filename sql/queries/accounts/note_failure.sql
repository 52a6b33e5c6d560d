-- A password that was refused, with the name that it was tried for and the reason, which the one who tried is not told.
SELECT audit(%(action)s, 'user', %(name)s, after => jsonb_build_object('reason', %(reason)s::text))
