-- Its state goes with it; its checks and outages stay until retention, and are its again if it is entered again.
DELETE FROM services WHERE id = %(id)s
