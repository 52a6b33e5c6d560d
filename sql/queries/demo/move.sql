-- Sets the URLs of the demo services, whose targets listen on other ports at every start. Their other fields stay.
UPDATE services
SET endpoint_url = given.endpoint_url
FROM jsonb_to_recordset(%(services)s) AS given (id text, endpoint_url text)
WHERE services.id = given.id AND demo
