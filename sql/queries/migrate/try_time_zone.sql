-- Fails where the server does not know a time zone by this name. Much faster than its list, but it takes POSIX rules for names too.
SELECT now() AT TIME ZONE %(name)s::text
