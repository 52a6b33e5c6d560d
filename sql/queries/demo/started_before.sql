-- Whether the demo has been set up: its services are created in one transaction with their past.
SELECT EXISTS (SELECT FROM services WHERE demo)
