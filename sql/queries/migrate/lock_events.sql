-- Before any other table that housekeeping changes: release 0.1 deletes old events, then parked checks, then announced days, in one
-- statement. A migration that changes the last of these first would wait for it in a circle. An empty database does not have the table yet.
DO $$
BEGIN
    IF to_regclass('events') IS NOT NULL THEN
        LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE;
    END IF;
END
$$
