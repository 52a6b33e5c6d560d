-- Sets the URL of a first service, and enables it, if it was registered paused because its variable was not set.
UPDATE services
SET endpoint_url = %(endpoint_url)s,
    enabled = true
WHERE id = %(id)s AND NOT enabled AND endpoint_url = %(placeholder)s AND declared_in IS NULL
