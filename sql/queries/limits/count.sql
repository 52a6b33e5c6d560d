-- Counts one more, whatever the capitals of the client's name; `seconds` until the window ends, by the clock that it began with.
SELECT allowed, remaining, greatest(ceil(extract(epoch FROM resets_at - now())), 1)::integer AS seconds
FROM count_against(%(limit_name)s, lower(%(client)s), %(times)s, %(window_length)s)
