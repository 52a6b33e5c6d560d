-- The same on its way through record_checks().
INSERT INTO incoming_checks SELECT * FROM noise(%(first)s, %(last)s, %(low)s, %(high)s, %(every)s)
