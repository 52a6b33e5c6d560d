-- Counts one request, without regard to the case of the client; `seconds` until the end of the window.
SELECT allowed, remaining, greatest(ceil(extract(epoch FROM resets_at - now())), 1)::integer AS seconds
FROM count_against(%(limit_name)s, lower(%(client)s), %(times)s, %(window_length)s)
