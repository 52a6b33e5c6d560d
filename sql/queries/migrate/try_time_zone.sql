-- Fails if the server does not know a time zone with this name. Much faster than the list of its time zones, but POSIX
-- rules are accepted as names too.
SELECT now() AT TIME ZONE %(name)s::text
