-- A team for every fifty services, as those who watch a thousand have.
UPDATE services SET group_name = 'Team ' || lpad((1 + ltrim(id, 'service-')::integer / 50)::text, 2, '0')
