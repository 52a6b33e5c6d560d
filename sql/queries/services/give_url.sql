-- A first service that was registered paused, for want of a URL, starts once its variable is set.
UPDATE services
SET endpoint_url = %(endpoint_url)s,
    enabled = true
WHERE id = %(id)s AND NOT enabled AND endpoint_url = %(placeholder)s AND declared_in IS NULL
