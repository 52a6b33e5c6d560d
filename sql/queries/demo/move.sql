-- The targets listen on other ports at every start; what else was changed of a demo service stays.
UPDATE services
SET endpoint_url = given.endpoint_url
FROM jsonb_to_recordset(%(services)s) AS given (id text, endpoint_url text)
WHERE services.id = given.id AND demo
