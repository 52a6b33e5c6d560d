-- Whether the server knows a time zone with this name. Its list may differ from Python's.
SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = %(name)s)
