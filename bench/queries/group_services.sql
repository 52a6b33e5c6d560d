-- Puts fifty services into each group.
UPDATE services SET group_name = 'Team ' || lpad((1 + ltrim(id, 'service-')::integer / 50)::text, 2, '0')
