-- Some servers answer with codes above 599. They are recorded, so they can be expected too.
ALTER TABLE services
    DROP CONSTRAINT services_expected_status_codes,
    ADD CONSTRAINT services_expected_status_codes
        CHECK (cardinality(expected_status_codes) BETWEEN 1 AND 500
               AND 100 <= ALL (expected_status_codes) AND 999 >= ALL (expected_status_codes));
