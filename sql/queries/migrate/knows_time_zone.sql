-- Whether the server knows a time zone by this name; its own list, which may differ from Python's.
SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = %(name)s)
