-- Whether a demo has been here: its services come in one transaction with their past.
SELECT EXISTS (SELECT FROM services WHERE demo)
